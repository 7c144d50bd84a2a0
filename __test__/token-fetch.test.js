'use strict';

// `tokenFetch`: the arguments of the function, its responses and errors, and its lifetime. The
// stage `token-fetch-tests` runs the behaviour tests with this option, `tls-chains.test.js` uses it
// with undici, and `examples.test.js` uses it with nock and msw.

const assert = require('node:assert/strict');
const { AsyncLocalStorage } = require('node:async_hooks');
const http = require('node:http');
const { Readable } = require('node:stream');
const { describe, test } = require('node:test');
const { inspect } = require('node:util');
const { Worker } = require('node:worker_threads');
const { KeycloakTokenManager } = require('..');
const reconfigure = require('../lib/reconfigure.js');
const { startApi } = require('./support/api-server.js');
const { Canaries } = require('./support/canaries.js');
const { listen } = require('./support/listen.js');
const { block } = require('./programs/program.js');
const {
  CLIENT,
  openManager,
  recorder,
  rejection,
  tokenJson,
  until,
} = require('./support/manager.js');

/** A hanging test must fail. */
const LIMIT_MS = 30_000;
const MIB = 1024 * 1024;
const ENDPOINT = 'https://sso.example/realms/r/protocol/openid-connect/token';
const TOKEN = tokenJson();
const SECRET = 'x7Q-canary-42-secret';

/**
 * Makes a manager for an endpoint that does not exist, so that only the function receives requests.
 */
const open = (t, tokenFetch, options) =>
  openManager(t, { tokenEndpoint: ENDPOINT, ...options, tokenFetch });

/** An endless body that records whether the manager cancels it. */
function endless() {
  const endless = { isCancelled: false };
  endless.body = new ReadableStream({
    pull: (controller) => controller.enqueue(new Uint8Array(64 * 1024)),
    cancel() {
      endless.isCancelled = true;
    },
  });
  return endless;
}

describe('the function of tokenFetch', { timeout: LIMIT_MS }, () => {
  for (const [name, options, method] of [
    ['a form', {}, 'POST'],
    ['the Authorization header', { clientAuthentication: 'client_secret_basic' }, 'POST'],
    ['a request for a document', { tokenEndpoint: undefined }, 'GET'],
  ]) {
    test(`receives what the native transport sends: ${name}`, async (t) => {
      const { url, requests } = await startApi(t, () => [400, {}, '{"error":"invalid_request"}']);
      const inits = [];
      const tokenFetch = (target, init) => {
        inits.push(init);
        return fetch(target, init);
      };
      const place = method === 'GET' ? { issuer: url } : { tokenEndpoint: `${url}/token` };
      for (const sender of [{}, { tokenFetch }]) {
        const manager = openManager(t, { ...place, ...options, ...sender });
        await rejection(manager.getToken(), 'ERR_KEYCLOAK_OAUTH');
      }
      for (const { headers } of requests) {
        // undici adds the last two headers to every request.
        const added = ['connection', 'content-length', 'accept-language', 'sec-fetch-mode'];
        for (const one of added) delete headers[one];
      }
      const [native, sent] = requests;
      assert.deepEqual(sent, native);
      assert.equal(sent.method, method);
      assert.equal(inits.length, 1);
      assert.equal(inits[0].redirect, 'manual');
      assert.ok(inits[0].signal instanceof AbortSignal);
    });
  }

  test("runs in the constructor's async context, as clientSecret does", async (t) => {
    const context = new AsyncLocalStorage();
    const seen = [];
    const clientSecret = () => {
      seen.push(['clientSecret', context.getStore()]);
      return CLIENT.clientSecret;
    };
    const tokenFetch = async () => {
      seen.push(['tokenFetch', context.getStore()]);
      return new Response(TOKEN);
    };
    const make = () => open(t, tokenFetch, { clientSecret });
    const managers = ['first', 'second'].map((name) => [name, context.run(name, make)]);
    for (const [name, manager] of managers) {
      await context.run('caller', () => manager.getToken());
      assert.deepEqual(seen.splice(0), [
        ['clientSecret', name],
        ['tokenFetch', name],
      ]);
    }
  });

  test('is the current global fetch at each request if the option is true', async (t) => {
    const urls = [];
    const { mock } = t.mock.method(globalThis, 'fetch', async (url) => {
      urls.push(url);
      return new Response(TOKEN);
    });
    const manager = open(t, true);
    assert.equal(await manager.getToken(), 'token-1');
    assert.deepEqual(urls, [ENDPOINT]);
    mock.mockImplementation(async () => new Response(tokenJson('token-2')));
    assert.equal(await manager.getToken({ forceRefresh: true }), 'token-2');
  });

  test('may change with the configuration', async (t) => {
    const manager = open(t, async () => new Response(TOKEN));
    assert.equal(await manager.getToken(), 'token-1');
    const tokenFetch = async () => new Response(tokenJson('token-2'));
    manager[reconfigure]({ ...CLIENT, tokenEndpoint: ENDPOINT, tokenFetch });
    assert.equal(await manager.getToken({ forceRefresh: true }), 'token-2');
  });
});

describe('a response from the function', { timeout: LIMIT_MS }, () => {
  const headers = { get: (name) => (name === 'content-type' ? 'application/json' : null) };
  const plain = { status: 200, headers };
  const text = async () => TOKEN;
  const web = () => new Response(TOKEN).body;
  for (const [name, make] of [
    ['a Response', () => new Response(TOKEN)],
    ['a web stream', () => ({ ...plain, body: web() })],
    ['a Node stream', () => ({ ...plain, body: Readable.from([Buffer.from(TOKEN)]) })],
    ['a Node stream of strings', () => ({ ...plain, body: Readable.from([TOKEN]) })],
    ['only text()', () => ({ status: 200, text })],
    ['only arrayBuffer()', () => ({ ...plain, arrayBuffer: async () => Buffer.from(TOKEN) })],
    ['an empty url', () => ({ ...plain, url: '', text })],
    ['the requested url', () => ({ ...plain, url: ENDPOINT, text })],
    [
      'a stream without an iterator',
      () => {
        const body = web();
        return { ...plain, body: { getReader: () => body.getReader() } };
      },
    ],
  ]) {
    test(`may be ${name}`, async (t) => {
      const manager = open(t, async () => make());
      assert.equal(await manager.getToken(), 'token-1');
    });
  }

  const NO_RESPONSE = /tokenFetch must return a Response/;
  const REDIRECT = /is a redirect, which the manager never follows/;
  const TOO_LARGE = /larger than 1 MiB/;
  const large = 'x'.repeat(MIB + 1);
  const length = { 'content-length': large.length };
  const readResponse = new Response(TOKEN);
  readResponse.text();
  const lockedResponse = new Response(TOKEN);
  lockedResponse.body.getReader();
  for (const [name, response, message] of [
    ['nothing', undefined, NO_RESPONSE],
    ['a string', TOKEN, NO_RESPONSE],
    ['an object without a status', { text }, NO_RESPONSE],
    ['an object without a body', { status: 200 }, NO_RESPONSE],
    ['a network error', Response.error(), /without an HTTP status/],
    ['a read body', readResponse, /whose body was already read/],
    ['a locked body', lockedResponse, /whose body was already read/],
    ['a followed redirect', { ...plain, redirected: true, text }, /followed a redirect/],
    ['another url', { ...plain, url: 'https://evil.example/', text }, /followed a redirect/],
    ['a hidden redirect', { status: 0, type: 'opaqueredirect' }, REDIRECT],
    ['a redirect', new Response(null, { status: 302 }), /status 302 .* is a redirect, which the/],
    ['1 MiB and a byte', new Response(large), TOO_LARGE],
    ['a large text', { status: 200, text: async () => large }, TOO_LARGE],
    ['a large Content-Length', new Response(TOKEN, { headers: length }), TOO_LARGE],
  ]) {
    test(`that is ${name} causes ERR_KEYCLOAK_PROTOCOL without a retry`, async (t) => {
      let count = 0;
      const manager = open(t, async () => {
        count += 1;
        return response;
      });
      const error = await rejection(manager.getToken(), 'ERR_KEYCLOAK_PROTOCOL');
      assert.match(error.message, message);
      assert.equal(error.retryable, false);
      assert.equal(count, 1);
    });
  }

  for (const [name, more] of [
    ['too large', {}],
    ['a redirect that was followed', { redirected: true }],
  ]) {
    test(`makes the manager cancel its body if it is ${name}`, async (t) => {
      const long = endless();
      const manager = open(t, async () => ({ ...plain, ...more, body: long.body }));
      await rejection(manager.getToken(), 'ERR_KEYCLOAK_PROTOCOL');
      assert.equal(long.isCancelled, true);
    });
  }
});

describe('an error that the function throws', { timeout: LIMIT_MS }, () => {
  const coded = (code, message = 'fetch failed') => Object.assign(new Error(message), { code });
  const caused = (cause) => new TypeError('fetch failed', { cause });
  const throwing = (name) =>
    Object.defineProperty({}, name, {
      get() {
        throw new Error('a getter');
      },
    });
  const { proxy: revoked, revoke } = Proxy.revocable({}, {});
  revoke();
  const cyclic = new Error('odd');
  cyclic.cause = cyclic;
  const noRoute = coded('EHOSTUNREACH', 'no way');
  const everywhere = new AggregateError([coded('ECONNREFUSED')], 'all failed');
  // [the name, the thrown value, the system's code in the error, the end of the message]
  const NETWORK = [
    [
      'a refused connection',
      caused(coded('ECONNREFUSED')),
      'ECONNREFUSED',
      /was refused \(\w+\); check/,
    ],
    [
      'a refused connection to all addresses',
      caused(everywhere),
      'ECONNREFUSED',
      /was refused \(ECONNREFUSED\); check/,
    ],
    ['a reset', coded('ECONNRESET'), 'ECONNRESET', /reset \(ECONNRESET\); check/],
    ['an unknown host', caused(coded('ENOTFOUND')), 'ENOTFOUND', /\(ENOTFOUND\); check/],
    ['a name server that fails', caused(coded('EAI_AGAIN')), 'EAI_AGAIN', /\(EAI_AGAIN\); check/],
    [
      'a slow connection',
      caused(coded('UND_ERR_CONNECT_TIMEOUT')),
      'ETIMEDOUT',
      /\(ETIMEDOUT\); check/,
    ],
    ['an ended connection', caused(coded('UND_ERR_SOCKET')), 'ECONNRESET', /\(ECONNRESET\); check/],
    ['no route', caused(noRoute), 'EHOSTUNREACH', /: no way \(EHOSTUNREACH\)$/],
    ['another code', coded('ERR_OTHER', 'odd'), undefined, /tokenFetch failed: odd \(ERR_OTHER\)$/],
    ['a code with invalid characters', coded('<b>', 'odd'), undefined, /tokenFetch failed: odd$/],
    ['an error without a code', new Error('odd'), undefined, /tokenFetch failed: odd$/],
    ['a getter that throws', throwing('code'), undefined, /cannot read the error$/],
    ['a message that throws', throwing('message'), undefined, /cannot read the error$/],
    ['a revoked proxy', revoked, undefined, /cannot read the error$/],
    ['a string', 'odd', undefined, /tokenFetch failed: the error has no message$/],
    ['undefined', undefined, undefined, /failed: the error has no message$/],
    ['a cycle of causes', cyclic, undefined, /tokenFetch failed: odd$/],
  ].map((row) => ['ERR_KEYCLOAK_NETWORK', ...row]);
  const TLS = [
    'CERT_HAS_EXPIRED',
    'DEPTH_ZERO_SELF_SIGNED_CERT',
    'UNABLE_TO_VERIFY_LEAF_SIGNATURE',
    'SELF_SIGNED_CERT_IN_CHAIN',
    'ERR_TLS_CERT_ALTNAME_INVALID',
    'ERR_SSL_WRONG_VERSION_NUMBER',
  ].map((code) => {
    const message = new RegExp(`fetch failed \\(${code}\\)`);
    return ['ERR_KEYCLOAK_TLS', code, caused(coded(code)), undefined, message];
  });
  for (const [code, name, thrown, systemCode, message] of [...NETWORK, ...TLS]) {
    test(`becomes ${code}: ${name}`, async (t) => {
      const manager = open(t, () => Promise.reject(thrown), { requestTimeoutMs: 900 });
      const error = await rejection(manager.getToken(), code);
      assert.match(error.message, message);
      assert.equal(error.retryable, code === 'ERR_KEYCLOAK_NETWORK');
      assert.equal(error.cause?.code, systemCode);
    });
  }

  for (const [name, thrown] of [
    ['in the message', new Error(`sent ${SECRET}`)],
    ['in a long message', new Error(`${'a '.repeat(40_000)}${SECRET}`)],
    ['in the message of the cause', caused(coded('ERR_X', `client_secret=${SECRET}`))],
    ['in a property', Object.assign(new Error('odd'), { config: { data: SECRET } })],
    ['in the code', coded(`A_${SECRET}`)],
  ]) {
    test(`does not reveal a secret ${name} if the function throws synchronously`, async (t) => {
      const { logger, lines } = recorder();
      const tokenFetch = () => {
        throw thrown;
      };
      const manager = open(t, tokenFetch, { clientSecret: SECRET, logger, requestTimeoutMs: 900 });
      const error = await rejection(manager.getToken(), 'ERR_KEYCLOAK_NETWORK');
      assert.match(error.message, /tokenFetch failed/);
      assert.ok(lines.length > 0);
      const canaries = new Canaries();
      canaries.add(SECRET);
      assert.equal(canaries.find(inspect([error, error.stack, lines], { depth: 9 })), undefined);
    });
  }
});

describe('a request through the function', { timeout: LIMIT_MS }, () => {
  test('ends at the deadline, and the error names the stage', async (t) => {
    const signals = [];
    const tokenFetch = (_url, { signal }) => {
      signals.push(signal);
      return new Promise(() => {});
    };
    const manager = open(t, tokenFetch, { requestTimeoutMs: 200 });
    const error = await rejection(manager.getToken(), 'ERR_KEYCLOAK_TIMEOUT');
    assert.match(error.message, /within 200 ms \(attempt 1: waiting for the response\)/);
    await until(() => signals[0].aborted, 'the request is aborted');
    assert.equal(signals.length, 1);
  });

  test('ends with close(), which frees its socket', async (t) => {
    const server = await listen(t, http.createServer());
    const manager = open(t, true, { tokenEndpoint: `${server.url}/token` });
    const waiting = rejection(manager.getToken(), 'ERR_KEYCLOAK_CLOSED');
    await until(() => server.sockets.size === 1, 'the request arrives');
    await manager.close();
    await waiting;
    await until(() => server.sockets.size === 0, 'the socket is closed');
  });

  for (const [end, code, requestTimeoutMs] of [
    ['close()', 'ERR_KEYCLOAK_CLOSED', 15_000],
    ['its deadline', 'ERR_KEYCLOAK_TIMEOUT', 100],
  ]) {
    test(`may get an answer after ${end}, and the manager cancels its body`, async (t) => {
      let answer;
      const tokenFetch = () =>
        new Promise((resolve) => {
          answer = resolve;
        });
      const manager = open(t, tokenFetch, { requestTimeoutMs });
      const waiting = rejection(manager.getToken(), code);
      await until(() => answer !== undefined, 'the function is called');
      if (end === 'close()') await manager.close();
      await waiting;
      const late = endless();
      answer(new Response(late.body));
      await until(() => late.isCancelled, 'the late body is cancelled');
    });
  }

  test('ends at the deadline even if its response stream ignores the signal', async (t) => {
    let isCancelled = false;
    const cancel = () => {
      isCancelled = true;
    };
    const silent = new ReadableStream({ pull: () => new Promise(() => {}), cancel });
    const manager = open(t, async () => new Response(silent), { requestTimeoutMs: 100 });
    await rejection(manager.getToken(), 'ERR_KEYCLOAK_TIMEOUT');
    await until(() => isCancelled, 'the body is cancelled');
  });

  test('may present a client certificate, and then needs no other credential', async (t) => {
    const forms = [];
    const tokenFetch = async (_url, { body }) => {
      forms.push(Object.fromEntries(new URLSearchParams(body)));
      return new Response(TOKEN);
    };
    const options = { clientSecret: undefined, clientAuthentication: 'tls_client_auth' };
    assert.equal(await open(t, tokenFetch, options).getToken(), 'token-1');
    assert.deepEqual(forms, [{ grant_type: 'client_credentials', client_id: CLIENT.clientId }]);
    const code = { code: 'ERR_KEYCLOAK_CONFIG', message: /none is given/ };
    assert.throws(() => open(t, undefined, options), code);
  });

  test('does not start if its deadline passes while the event loop is blocked', async (t) => {
    let count = 0;
    const tokenFetch = async () => {
      count += 1;
      return new Response(TOKEN);
    };
    const manager = open(t, tokenFetch, { requestTimeoutMs: 50 });
    const waiting = rejection(manager.getToken(), 'ERR_KEYCLOAK_TIMEOUT');
    block(400);
    const error = await waiting;
    assert.match(error.message, /waiting for the event loop to send the request with tokenFetch/);
    assert.equal(count, 0);
  });

  test('may be under way when its worker thread ends', async (t) => {
    const server = await listen(t, http.createServer());
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

test('tokenFetch excludes connection options, and one error reports all faults', (t) => {
  const certificate = { clientCertificate: 'x', clientKeyFile: '/y' };
  const options = { ca: 'x', caFile: '/x', proxy: false, skipTlsVerify: true, ...certificate };
  const excluded = { ...options, tokenEndpoint: ENDPOINT, clientId: '', tokenFetch: true };
  assert.throws(
    () => new KeycloakTokenManager(excluded),
    ({ code, message }) => {
      assert.equal(code, 'ERR_KEYCLOAK_CONFIG');
      for (const name of Object.keys(options)) {
        const text = `${name}: this option does not work with tokenFetch, which makes its own connections; configure the function instead`;
        assert.ok(message.includes(text), `${name}: ${message}`);
      }
      return /clientId: expected/.test(message);
    },
  );
  open(t, true, { skipTlsVerify: false });
});
