'use strict';

// `tokenFetch`: the arguments of the function, its responses and errors, and its lifetime.
// The stage `token-fetch-tests` runs the behaviour tests with it. undici, nock and msw are
// development dependencies because users send or mock token requests with them.

const assert = require('node:assert/strict');
const { AsyncLocalStorage } = require('node:async_hooks');
const http = require('node:http');
const { Readable } = require('node:stream');
const { after, before, describe, test } = require('node:test');
const { Worker } = require('node:worker_threads');
const { http: mswHttp, HttpResponse } = require('msw');
const { setupServer } = require('msw/node');
const nock = require('nock');
const undici = require('undici');
const { KeycloakTokenManager } = require('..');
const reconfigure = require('../lib/reconfigure.js');
const { startFakeTokenEndpoint } = require('../lib/testing');
const { makeCertificates } = require('../tools/certificates.js');
const { listen } = require('./support/listen.js');
const {
  CLIENT,
  numbered,
  rejection,
  start,
  tokenResponse,
  until,
} = require('./support/manager.js');

/** A hanging test must fail. */
const LIMIT_MS = 30_000;
const MIB = 1024 * 1024;
const ENDPOINT = 'https://sso.example/realms/r/protocol/openid-connect/token';
const TOKEN = JSON.stringify(tokenResponse('token-1', 300));
const SECRET = 'x7Q-canary-42-secret';

/** A manager for an endpoint that does not exist: only the function receives the requests. */
function open(t, tokenFetch, options = {}) {
  const manager = new KeycloakTokenManager({
    ...CLIENT,
    tokenEndpoint: ENDPOINT,
    ...options,
    tokenFetch,
  });
  t.after(() => manager.close());
  return manager;
}

function throwing(name) {
  const get = () => {
    throw new Error('a getter');
  };
  return Object.defineProperty({}, name, { get });
}

function revoked() {
  const { proxy, revoke } = Proxy.revocable({}, {});
  revoke();
  return proxy;
}

const failing = (make) => () => Promise.reject(make());
const coded = (code, message = 'fetch failed') => Object.assign(new Error(message), { code });
const caused = (cause) => new TypeError('fetch failed', { cause });

describe('the function of tokenFetch', { timeout: LIMIT_MS }, () => {
  for (const [name, options, method] of [
    ['a form', {}, 'POST'],
    ['the Authorization header', { clientAuthentication: 'client_secret_basic' }, 'POST'],
    ['a request for a document', { tokenEndpoint: undefined, issuer: 'at the endpoint' }, 'GET'],
  ]) {
    test(`receives what the native transport sends: ${name}`, async (t) => {
      const { endpoint, open: openHere } = await start(t);
      const more = options.issuer === undefined ? options : { ...options, issuer: endpoint.issuer };
      const calls = [];
      const tokenFetch = (url, init) => {
        calls.push([url, init]);
        return fetch(url, init);
      };
      const seen = [];
      const server = await listen(
        t,
        http.createServer((request, response) => {
          let body = '';
          request.on('data', (chunk) => {
            body += chunk;
          });
          request.on('end', () => {
            const { host, connection, 'content-length': length, ...headers } = request.headers;
            seen.push({ method: request.method, url: request.url, headers, body });
            response.writeHead(400, { 'content-type': 'application/json' });
            response.end('{"error":"invalid_request"}');
          });
        }),
      );
      const target =
        more.issuer === undefined
          ? { tokenEndpoint: `${server.url}/token` }
          : { tokenEndpoint: undefined, issuer: `${server.url}/realms/r` };
      for (const sender of [{}, { tokenFetch }]) {
        const manager = openHere({ ...more, ...target, ...sender });
        await rejection(manager.getToken(), 'ERR_KEYCLOAK_OAUTH');
      }
      const [native, sent] = seen;
      // undici adds these to every request.
      for (const added of ['accept-language', 'sec-fetch-mode']) delete sent.headers[added];
      assert.deepEqual(sent, native);
      assert.equal(sent.method, method);
      const [[url, init]] = calls;
      assert.equal(calls.length, 1);
      assert.equal(typeof url, 'string');
      assert.equal(init.redirect, 'manual');
      assert.ok(init.signal instanceof AbortSignal);
    });
  }

  test('runs in the async context of the constructor, as clientSecret does', async (t) => {
    const context = new AsyncLocalStorage();
    const seen = [];
    const { endpoint } = await start(t);
    const make = () =>
      new KeycloakTokenManager({
        ...CLIENT,
        tokenEndpoint: endpoint.tokenEndpoint,
        clientSecret: () => {
          seen.push(['clientSecret', context.getStore()]);
          return CLIENT.clientSecret;
        },
        tokenFetch: (url, init) => {
          seen.push(['tokenFetch', context.getStore()]);
          return fetch(url, init);
        },
      });
    const managers = ['first', 'second'].map((name) => [name, context.run(name, make)]);
    for (const [name, manager] of managers) {
      t.after(() => manager.close());
      await context.run('caller', () => manager.getToken());
      assert.deepEqual(seen.splice(0), [
        ['clientSecret', name],
        ['tokenFetch', name],
      ]);
    }
  });

  test('is the global fetch, looked up at each request, if it is true', async (t) => {
    const urls = [];
    const { mock } = t.mock.method(globalThis, 'fetch', async (url) => {
      urls.push(url);
      return new Response(TOKEN);
    });
    const manager = open(t, true);
    assert.equal(await manager.getToken(), 'token-1');
    assert.deepEqual(urls, [ENDPOINT]);
    mock.mockImplementation(async () => new Response(TOKEN.replace('-1', '-2')));
    assert.equal(await manager.getToken({ forceRefresh: true }), 'token-2');
  });

  test('is used once for many callers', async (t) => {
    let count = 0;
    const manager = open(t, async () => {
      count += 1;
      return new Response(TOKEN);
    });
    const tokens = await Promise.all(Array.from({ length: 1_000 }, () => manager.getToken()));
    assert.deepEqual([...new Set(tokens)], ['token-1']);
    assert.equal(count, 1);
  });

  test('can be replaced by a changed configuration', async (t) => {
    const manager = open(t, async () => new Response(TOKEN));
    assert.equal(await manager.getToken(), 'token-1');
    const options = { ...CLIENT, tokenEndpoint: ENDPOINT };
    const other = async () => new Response(TOKEN.replace('-1', '-2'));
    manager[reconfigure]({ ...options, tokenFetch: other });
    assert.equal(await manager.getToken({ forceRefresh: true }), 'token-2');
  });
});

describe('a response of the function', { timeout: LIMIT_MS }, () => {
  const headers = { get: (name) => (name === 'content-type' ? 'application/json' : null) };
  const plain = { status: 200, headers };
  for (const [name, make] of [
    ['a Response', () => new Response(TOKEN)],
    ['a web stream', () => ({ ...plain, body: new Response(TOKEN).body })],
    ['a Node stream', () => ({ ...plain, body: Readable.from([Buffer.from(TOKEN)]) })],
    ['a Node stream of strings', () => ({ ...plain, body: Readable.from([TOKEN]) })],
    ['only text()', () => ({ status: 200, text: async () => TOKEN })],
    [
      'only arrayBuffer()',
      () => ({ ...plain, arrayBuffer: () => new Response(TOKEN).arrayBuffer() }),
    ],
    ['an empty url', () => ({ ...plain, url: '', body: new Response(TOKEN).body })],
    ['the url that was asked', () => ({ ...plain, url: ENDPOINT, body: new Response(TOKEN).body })],
    [
      'a stream without an iterator',
      () => {
        const { body } = new Response(TOKEN);
        return { ...plain, body: { getReader: () => body.getReader() } };
      },
    ],
  ]) {
    test(`is read from ${name}`, async (t) => {
      const manager = open(t, async () => make());
      assert.equal(await manager.getToken(), 'token-1');
    });
  }

  for (const [name, make, message] of [
    ['nothing', () => undefined, /tokenFetch must return a Response/],
    ['a string', () => TOKEN, /tokenFetch must return a Response/],
    ['an object without a status', () => ({ text: async () => TOKEN }), /must return a Response/],
    ['an object without a body', () => ({ status: 200 }), /must return a Response/],
    ['a network error', () => Response.error(), /without an HTTP status/],
    ['a read body', readResponse, /whose body was already read/],
    ['a locked body', lockedResponse, /whose body was already read/],
    [
      'a followed redirect',
      () => ({ ...plain, redirected: true, text: async () => TOKEN }),
      /followed a redirect/,
    ],
    [
      'another url',
      () => ({ ...plain, url: 'https://evil.example/', text: async () => TOKEN }),
      /followed a redirect/,
    ],
    [
      'a hidden redirect',
      () => ({ status: 0, type: 'opaqueredirect' }),
      /is a redirect, which is never followed/,
    ],
    [
      'a redirect',
      () => new Response(null, { status: 302 }),
      /status 302 .* is a redirect, which is never/,
    ],
    ['1 MiB and a byte', () => new Response('x'.repeat(MIB + 1)), /larger than 1 MiB/],
    [
      'a large text',
      () => ({ status: 200, text: async () => 'x'.repeat(MIB + 1) }),
      /larger than 1 MiB/,
    ],
    [
      'a large Content-Length',
      () => new Response(TOKEN, { headers: { 'content-length': `${MIB + 1}` } }),
      /larger than 1 MiB/,
    ],
  ]) {
    test(`that is ${name} gives ERR_KEYCLOAK_PROTOCOL without a retry`, async (t) => {
      let count = 0;
      const manager = open(t, async () => {
        count += 1;
        return make();
      });
      const error = await rejection(manager.getToken(), 'ERR_KEYCLOAK_PROTOCOL');
      assert.match(error.message, message);
      assert.equal(error.retryable, false);
      assert.equal(count, 1);
    });
  }

  for (const [name, make] of [
    ['too large', () => new Response(new ReadableStream(endless()))],
    [
      'a redirect that was followed',
      () => ({ ...plain, redirected: true, body: new ReadableStream(endless()) }),
    ],
  ]) {
    test(`whose body is ${name} is cancelled`, async (t) => {
      const before = cancelled;
      const manager = open(t, async () => make());
      await rejection(manager.getToken(), 'ERR_KEYCLOAK_PROTOCOL');
      assert.equal(cancelled, before + 1);
    });
  }

  test('has its Retry-After read', async (t) => {
    const busy = () => new Response('', { status: 503, headers: { 'retry-after': '120' } });
    const error = await rejection(open(t, async () => busy()).getToken(), 'ERR_KEYCLOAK_HTTP');
    assert.equal(error.status, 503);
    assert.ok(error.retryAfterMs > 100_000 && error.retryAfterMs <= 120_000);
  });
});

async function readResponse() {
  const response = new Response(TOKEN);
  await response.text();
  return response;
}

function lockedResponse() {
  const response = new Response(TOKEN);
  response.body.getReader();
  return response;
}

let cancelled = 0;

function endless() {
  return {
    pull: (controller) => controller.enqueue(new Uint8Array(64 * 1024)),
    cancel() {
      cancelled += 1;
    },
  };
}

describe('an error that the function throws', { timeout: LIMIT_MS }, () => {
  const NETWORK = 'ERR_KEYCLOAK_NETWORK';
  const TLS = 'ERR_KEYCLOAK_TLS';
  const addresses = new AggregateError([coded('ECONNREFUSED')], 'all failed');
  for (const [name, make, code, systemCode, message] of [
    [
      'a refused connection',
      () => caused(coded('ECONNREFUSED')),
      NETWORK,
      'ECONNREFUSED',
      /the connection was refused \(ECONNREFUSED\)/,
    ],
    [
      'a refused connection to all addresses',
      () => caused(addresses),
      NETWORK,
      'ECONNREFUSED',
      /\(ECONNREFUSED\)/,
    ],
    ['a reset', () => coded('ECONNRESET'), NETWORK, 'ECONNRESET', /reset \(ECONNRESET\)/],
    ['an unknown host', () => caused(coded('ENOTFOUND')), NETWORK, 'ENOTFOUND', /\(ENOTFOUND\)/],
    [
      'a name server that fails',
      () => caused(coded('EAI_AGAIN')),
      NETWORK,
      'EAI_AGAIN',
      /\(EAI_AGAIN\)/,
    ],
    [
      'a slow connection',
      () => caused(coded('UND_ERR_CONNECT_TIMEOUT')),
      NETWORK,
      'ETIMEDOUT',
      /\(ETIMEDOUT\)/,
    ],
    [
      'an ended connection',
      () => caused(coded('UND_ERR_SOCKET')),
      NETWORK,
      'ECONNRESET',
      /\(ECONNRESET\)/,
    ],
    [
      'no route',
      () => caused(coded('EHOSTUNREACH', 'no way')),
      NETWORK,
      'EHOSTUNREACH',
      /tokenFetch failed: no way \(EHOSTUNREACH\)/,
    ],
    [
      'another code',
      () => coded('ERR_SOMETHING', 'odd'),
      NETWORK,
      undefined,
      /tokenFetch failed: odd \(ERR_SOMETHING\)/,
    ],
    [
      'a code with invalid characters',
      () => coded('<b>', 'odd'),
      NETWORK,
      undefined,
      /tokenFetch failed: odd$/,
    ],
    [
      'an error without a code',
      () => new Error('odd'),
      NETWORK,
      undefined,
      /tokenFetch failed: odd$/,
    ],
    ['a getter that throws', () => throwing('code'), NETWORK, undefined, /cannot be read$/],
    ['a message that throws', () => throwing('message'), NETWORK, undefined, /cannot be read$/],
    ['a revoked proxy', revoked, NETWORK, undefined, /cannot be read$/],
    ['a string', () => 'odd', NETWORK, undefined, /tokenFetch failed: the error has no message$/],
    ['undefined', () => undefined, NETWORK, undefined, /failed: the error has no message$/],
    [
      'a cycle of causes',
      () => {
        const error = new Error('odd');
        error.cause = error;
        return error;
      },
      NETWORK,
      undefined,
      /tokenFetch failed: odd$/,
    ],
    [
      'an expired certificate',
      () => caused(coded('CERT_HAS_EXPIRED', 'expired')),
      TLS,
      undefined,
      /expired \(CERT_HAS_EXPIRED\)/,
    ],
    ...Object.entries({
      'a self-signed certificate': 'DEPTH_ZERO_SELF_SIGNED_CERT',
      'an unknown authority': 'UNABLE_TO_VERIFY_LEAF_SIGNATURE',
      'an authority that is not trusted': 'SELF_SIGNED_CERT_IN_CHAIN',
      'a name that does not fit': 'ERR_TLS_CERT_ALTNAME_INVALID',
      'an error of OpenSSL': 'ERR_SSL_WRONG_VERSION_NUMBER',
    }).map(([name, code]) => [
      name,
      () => caused(coded(code)),
      TLS,
      undefined,
      new RegExp(`\\(${code}\\)`),
    ]),
  ]) {
    test(`is ${code} for ${name}`, async (t) => {
      const manager = open(t, failing(make), { requestTimeoutMs: 900 });
      const error = await rejection(manager.getToken(), code);
      assert.match(error.message, message);
      assert.equal(error.retryable, code === NETWORK);
      assert.equal(error.cause?.code, systemCode);
    });
  }

  test('synchronously also rejects the call', async (t) => {
    const manager = open(t, () => {
      throw new Error('at once');
    });
    const error = await rejection(manager.getToken(), NETWORK);
    assert.match(error.message, /tokenFetch failed: at once$/);
  });

  for (const [name, make] of [
    ['in the message', () => new Error(`sent ${SECRET}`)],
    ['in a long message', () => new Error(`${'a '.repeat(40_000)}${SECRET}`)],
    ['in the message of the cause', () => caused(coded('ERR_X', `client_secret=${SECRET}`))],
    ['in a property', () => Object.assign(new Error('odd'), { config: { data: SECRET } })],
    ['in the code', () => coded(`A_${SECRET}`)],
  ]) {
    test(`does not show the secret that it has ${name}`, async (t) => {
      const lines = [];
      const log = (line) => lines.push(line);
      const logger = { error: log, warn: log, info: log, debug: log };
      const options = { clientSecret: SECRET, logger, requestTimeoutMs: 900 };
      const error = await rejection(open(t, failing(make), options).getToken(), NETWORK);
      const { inspect } = require('node:util');
      const shown = `${inspect(error, { depth: 9, showHidden: true })} ${error.stack} ${lines}`;
      assert.ok(lines.length > 0);
      for (let at = 0; at + 8 <= SECRET.length; at += 1) {
        assert.ok(!shown.includes(SECRET.slice(at, at + 8)), shown);
      }
      assert.match(error.message, /tokenFetch failed/);
    });
  }
});

describe('a request of the function', { timeout: LIMIT_MS }, () => {
  /** A function that never answers; `signals` are those it received. */
  function hanging() {
    const signals = [];
    const tokenFetch = (_url, { signal }) => {
      signals.push(signal);
      return new Promise((_, reject) => {
        signal.addEventListener('abort', () => reject(signal.reason));
      });
    };
    return { signals, tokenFetch };
  }

  test('is aborted at the deadline, and the error names the stage', async (t) => {
    const { signals, tokenFetch } = hanging();
    const manager = open(t, tokenFetch, { requestTimeoutMs: 200 });
    const error = await rejection(manager.getToken(), 'ERR_KEYCLOAK_TIMEOUT');
    assert.match(error.message, /within 200 ms \(attempt 1: waiting for the answer\)/);
    await until(() => signals[0].aborted, 'the request is aborted');
    assert.equal(signals.length, 1);
  });

  test('is aborted by close(), which frees its socket', async (t) => {
    const server = await listen(
      t,
      http.createServer(() => {}),
    );
    const manager = open(t, true, { tokenEndpoint: `${server.url}/token` });
    const waiting = rejection(manager.getToken(), 'ERR_KEYCLOAK_CLOSED');
    await until(() => server.sockets.size === 1, 'the request arrives');
    await manager.close();
    await waiting;
    await until(() => server.sockets.size === 0, 'the socket is closed');
  });

  test('may be answered after close() without any effect', async (t) => {
    let answer;
    const manager = open(
      t,
      () =>
        new Promise((resolve) => {
          answer = resolve;
        }),
    );
    const waiting = rejection(manager.getToken(), 'ERR_KEYCLOAK_CLOSED');
    await until(() => answer !== undefined, 'the function is called');
    await manager.close();
    await waiting;
    const before = cancelled;
    answer(new Response(new ReadableStream(endless())));
    await until(() => cancelled === before + 1, 'the late body is cancelled');
  });

  test('that never settles is forgotten at its deadline, and its late body is cancelled', async (t) => {
    let answer;
    const tokenFetch = () =>
      new Promise((resolve) => {
        answer = resolve;
      });
    const manager = open(t, tokenFetch, { requestTimeoutMs: 100 });
    await rejection(manager.getToken(), 'ERR_KEYCLOAK_TIMEOUT');
    const before = cancelled;
    answer(new Response(new ReadableStream(endless())));
    await until(() => cancelled === before + 1, 'the late body is cancelled');
  });

  test('has its body cancelled at the deadline even if the stream ignores the signal', async (t) => {
    const before = cancelled;
    const silent = { ...endless(), pull: () => new Promise(() => {}) };
    const manager = open(t, async () => new Response(new ReadableStream(silent)), {
      requestTimeoutMs: 100,
    });
    await rejection(manager.getToken(), 'ERR_KEYCLOAK_TIMEOUT');
    await until(() => cancelled === before + 1, 'the body is cancelled');
  });

  test('may present a client certificate, which takes no credential', async (t) => {
    const forms = [];
    const tokenFetch = async (_url, { body }) => {
      forms.push(Object.fromEntries(new URLSearchParams(body)));
      return new Response(TOKEN);
    };
    const clientAuthentication = 'tls_client_auth';
    const options = { tokenEndpoint: ENDPOINT, clientId: 'c', clientAuthentication };
    const manager = new KeycloakTokenManager({ ...options, tokenFetch });
    t.after(() => manager.close());
    assert.equal(await manager.getToken(), 'token-1');
    assert.deepEqual(forms, [{ grant_type: 'client_credentials', client_id: 'c' }]);
    const code = { code: 'ERR_KEYCLOAK_CONFIG', message: /none is given/ };
    assert.throws(() => new KeycloakTokenManager(options), code);
  });

  test('is not sent if its deadline passed while the event loop was blocked', async (t) => {
    let count = 0;
    const tokenFetch = async () => {
      count += 1;
      return new Response(TOKEN);
    };
    const manager = open(t, tokenFetch, { requestTimeoutMs: 50 });
    const waiting = rejection(manager.getToken(), 'ERR_KEYCLOAK_TIMEOUT');
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 400);
    const error = await waiting;
    assert.match(error.message, /waiting for the event loop to send the request with tokenFetch/);
    assert.equal(count, 0);
  });

  test('may be under way when its worker thread ends', async (t) => {
    const server = await listen(
      t,
      http.createServer(() => {}),
    );
    const program = `
      const { workerData } = require('node:worker_threads');
      const { KeycloakTokenManager } = require(workerData.entry);
      const options = { clientId: 'c', clientSecret: 's', tokenFetch: true };
      new KeycloakTokenManager({ ...options, tokenEndpoint: workerData.url }).getToken();`;
    const workerData = { entry: require.resolve('..'), url: `${server.url}/token` };
    const worker = new Worker(program, { eval: true, workerData });
    await until(() => server.sockets.size === 1, 'the request arrives');
    await worker.terminate();
    await until(() => server.sockets.size === 0, 'the socket is closed');
    // The native runtime of the process still works.
    assert.equal(await open(t, async () => new Response(TOKEN)).getToken(), 'token-1');
  });
});

test('tokenFetch excludes the options for connections, and one error reports all faults', () => {
  const certificate = { clientCertificate: 'x', clientKeyFile: '/y' };
  const options = { ca: 'x', caFile: '/x', proxy: false, skipTlsVerify: true, ...certificate };
  let error;
  try {
    new KeycloakTokenManager({
      tokenEndpoint: ENDPOINT,
      clientId: '',
      ...options,
      tokenFetch: true,
    });
  } catch (thrown) {
    error = thrown;
  }
  assert.equal(error?.code, 'ERR_KEYCLOAK_CONFIG');
  for (const name of Object.keys(options)) {
    const text = `${name}: cannot be used with tokenFetch, which makes its own connections; configure the function instead`;
    assert.ok(error.message.includes(text), `${name}: ${error.message}`);
  }
  assert.match(error.message, /clientId: expected/);
  const off = { skipTlsVerify: false, tokenFetch: true };
  assert.ok(new KeycloakTokenManager({ ...CLIENT, tokenEndpoint: ENDPOINT, ...off }));
  for (const tokenFetch of [false, 'fetch', null, {}]) {
    const make = () => new KeycloakTokenManager({ ...CLIENT, tokenEndpoint: ENDPOINT, tokenFetch });
    assert.throws(make, {
      code: 'ERR_KEYCLOAK_CONFIG',
      message: /tokenFetch: expected true, or a function like fetch/,
    });
  }
});

describe('tokenFetch works with', { timeout: LIMIT_MS }, () => {
  let certificates;
  before(() => {
    certificates = makeCertificates();
  });
  after(() => certificates?.remove());

  test('an Agent of undici that trusts another authority', async (t) => {
    const { server, ca } = certificates;
    const tls = { key: server.key, cert: server.cert };
    const endpoint = await startFakeTokenEndpoint({ tls });
    t.after(() => endpoint.close());
    const { tokenEndpoint } = endpoint;
    const dispatcher = new undici.Agent({ connect: { ca: ca.cert } });
    t.after(() => dispatcher.destroy());
    const tokenFetch = (url, init) => undici.fetch(url, { ...init, dispatcher });
    assert.match(await open(t, tokenFetch, { tokenEndpoint }).getToken(), /^ey/);
    const error = await rejection(open(t, true, { tokenEndpoint }).getToken(), 'ERR_KEYCLOAK_TLS');
    assert.match(error.message, /UNABLE_TO_VERIFY_LEAF_SIGNATURE|SELF_SIGNED_CERT_IN_CHAIN/);
  });

  test('a ProxyAgent of undici', async (t) => {
    const { endpoint, open: openHere } = await start(t);
    const { createProxy } = await import('proxy');
    const server = createProxy(http.createServer());
    let tunnels = 0;
    server.on('connect', () => {
      tunnels += 1;
    });
    const { url } = await listen(t, server);
    const dispatcher = new undici.ProxyAgent({ uri: url, proxyTunnel: true });
    t.after(() => dispatcher.destroy());
    const tokenFetch = (target, init) => undici.fetch(target, { ...init, dispatcher });
    assert.match(await openHere({ tokenFetch }).getToken(), /^ey/);
    assert.equal(tunnels, 1);
    assert.equal(endpoint.requestCount, 1);
  });

  test('a MockAgent of undici', async (t) => {
    const dispatcher = new undici.MockAgent();
    dispatcher.disableNetConnect();
    t.after(() => dispatcher.close());
    const { origin, pathname } = new URL(ENDPOINT);
    const pool = dispatcher.get(origin);
    pool.intercept({ path: pathname, method: 'POST' }).reply(200, TOKEN);
    const tokenFetch = (url, init) => undici.fetch(url, { ...init, dispatcher });
    const manager = open(t, tokenFetch, { clientSecret: SECRET });
    assert.equal(await manager.getToken(), 'token-1');
    const error = await rejection(manager.getToken({ forceRefresh: true }), 'ERR_KEYCLOAK_NETWORK');
    assert.ok(!error.message.includes(SECRET), error.message);
  });

  test('nock', async (t) => {
    const { origin, pathname } = new URL(ENDPOINT);
    t.after(() => {
      nock.cleanAll();
      nock.restore();
    });
    const form = { grant_type: 'client_credentials', client_id: CLIENT.clientId };
    const scope = nock(origin)
      .post(pathname, { ...form, client_secret: CLIENT.clientSecret })
      .reply(200, tokenResponse('token-1', 300));
    assert.equal(await open(t, true).getToken(), 'token-1');
    scope.done();
  });

  test('msw', async (t) => {
    const answer = numbered();
    const server = setupServer(mswHttp.post(ENDPOINT, () => HttpResponse.json(answer().body)));
    server.listen({ onUnhandledRequest: 'error' });
    t.after(() => server.close());
    assert.equal(await open(t, true).getToken(), 'token-1');
  });
});
