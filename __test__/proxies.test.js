'use strict';

// The choice of a proxy, and the errors when a proxy lets no request through, with real proxies
// that record their requests.

const assert = require('node:assert/strict');
const http = require('node:http');
const https = require('node:https');
const net = require('node:net');
const { after, before, describe, test } = require('node:test');
const { inspect } = require('node:util');
const { startFakeTokenEndpoint } = require('../lib/testing');
const { makeCertificates } = require('../tools/certificates.js');
const { listen } = require('./support/listen.js');
const { openManager, recorder, rejection } = require('./support/manager.js');

const ALL = ['HTTPS_PROXY', 'HTTP_PROXY', 'NO_PROXY', 'NODE_USE_ENV_PROXY'].flatMap((name) => [
  name,
  name.toLowerCase(),
]);
const USER = 'Jane';
const PASSWORD = 'pa ss%:@';
/** The values that a message must not contain in any spelling. */
const CREDENTIALS = /[Jj]ane|pa ss|pa%20ss|canary|Basic|[aS]mFuZT/;
const NOWHERE = 'sso.nowhere.invalid';

const proxies = {};
const started = [];
const certificates = makeCertificates();
let plain;
let secure;

async function serve(server, asked = []) {
  const { address, stop } = await listen(undefined, server);
  started.push(stop);
  return { host: address, asked };
}

/** Starts a proxy that records its requests, such as `CONNECT 127.0.0.1:443`, in `asked`. */
async function startProxy(authenticate = () => true, bare = http.createServer()) {
  const { createProxy } = await import('proxy');
  const server = createProxy(bare);
  const asked = [];
  server.authenticate = (request) => {
    asked.push(`${request.method} ${request.url}`);
    return authenticate(request);
  };
  return serve(server, asked);
}

/** Starts a proxy that refuses every tunnel. */
function startRefusing(status) {
  const server = http.createServer().on('connect', (_request, socket) => {
    socket.end(`HTTP/1.1 ${status}\r\nContent-Length: 0\r\n\r\n`);
  });
  return serve(server);
}

before(async () => {
  const { key, cert } = certificates.server;
  secure = await startFakeTokenEndpoint({ tls: { key, cert } });
  plain = await startFakeTokenEndpoint();
  started.push(
    () => secure.close(),
    () => plain.close(),
  );
  const expected = `Basic ${Buffer.from(`${USER}:${PASSWORD}`).toString('base64')}`;
  proxies.open = await startProxy();
  proxies.other = await startProxy();
  proxies.strict = await startProxy(({ headers }) => headers['proxy-authorization'] === expected);
  proxies.forbidding = await startRefusing('403 Forbidden');
  proxies.failing = await startRefusing('502 Bad Gateway');
  proxies.silent = await serve(net.createServer());
  // This proxy selects the method without authentication.
  const answer = (socket) => socket.once('data', () => socket.write(Buffer.of(5, 0)));
  proxies.socks = await serve(net.createServer(answer));
});

after(async () => {
  for (const stop of started) await stop();
});

/** Makes a manager in this environment, without any other proxy variable. */
function make(t, environment, options) {
  const saved = process.env;
  process.env = { ...saved };
  for (const name of ALL) delete process.env[name];
  Object.assign(process.env, environment);
  try {
    const { logger, at } = recorder();
    return { manager: openManager(t, { ca: certificates.ca.cert, logger, ...options }), at };
  } finally {
    process.env = saved;
  }
}

const endpoints = {
  https: () => secure.tokenEndpoint,
  http: () => plain.tokenEndpoint,
  'https elsewhere': () => `https://${NOWHERE}/token`,
  'http elsewhere': () => `http://${NOWHERE}/token`,
};
const url = (name) => `http://${proxies[name].host}`;
const withoutNode = () => ({ ...both(), NODE_USE_ENV_PROXY: '0' });
const both = () => ({ HTTPS_PROXY: url('open'), HTTP_PROXY: url('open') });

/**
 * The name, the environment, the endpoint, the proxy that the manager uses, if any, and options.
 * `crates/transport/src/proxy.rs` lists what the variables mean.
 */
const CHOICES = [
  ['HTTPS_PROXY', () => ({ HTTPS_PROXY: url('open') }), 'https elsewhere', 'open'],
  ['HTTP_PROXY', () => ({ HTTP_PROXY: url('open') }), 'http elsewhere', 'open'],
  ['http_proxy', () => ({ http_proxy: url('open') }), 'http elsewhere', 'open'],
  ['HTTP_PROXY, with https', () => ({ HTTP_PROXY: url('open') }), 'https elsewhere', undefined],
  ['both cases', () => ({ ...both(), https_proxy: url('other') }), 'https elsewhere', 'other'],
  ['NODE_USE_ENV_PROXY=0', withoutNode, 'https elsewhere', 'open'],
  ['both variables', both, 'https', undefined],
  ['NO_PROXY', () => ({ ...both(), NO_PROXY: '*' }), 'https elsewhere', undefined],
  ['proxy: false', both, 'https elsewhere', undefined, () => ({ proxy: false })],
  ['the option', both, 'https', 'other', () => ({ proxy: url('other') })],
  ['the option, with http', both, 'http', 'other', () => ({ proxy: url('other') })],
];

describe('the proxy', () => {
  for (const [name, environment, endpoint, used, options] of CHOICES) {
    test(`${name}: the manager uses ${used ?? 'no proxy'} for ${endpoint}`, async (t) => {
      for (const { asked } of Object.values(proxies)) asked.length = 0;
      const tokenEndpoint = endpoints[endpoint]();
      const given = { tokenEndpoint, requestTimeoutMs: 2_000, ...options?.() };
      const { manager, at } = make(t, environment(), given);
      if (endpoint.endsWith('elsewhere')) {
        const error = await manager.getToken().catch((reason) => reason);
        // For an http endpoint, the proxy itself answers in place of the server.
        const isTunnel = used !== undefined && endpoint.startsWith('https');
        assert.equal(error.message.includes('through the proxy'), isTunnel);
      } else {
        assert.equal(typeof (await manager.getToken()), 'string');
        assert.deepEqual(at('warn'), []);
      }
      const { hostname, port, protocol } = new URL(tokenEndpoint);
      const request =
        protocol === 'https:' ? `CONNECT ${hostname}:${port || 443}` : `POST ${tokenEndpoint}`;
      for (const [each, { asked }] of Object.entries(proxies)) {
        assert.deepEqual([...new Set(asked)], each === used ? [request] : [], each);
      }
    });
  }

  for (const endpoint of ['https', 'http']) {
    test(`gets the user name and password of its URL, for ${endpoint}`, async (t) => {
      const proxy = `http://${USER}:${encodeURIComponent(PASSWORD)}@${proxies.strict.host}`;
      const bare = ` ${proxy.replace('http://', '')}`;
      for (const [environment, options] of [
        [{}, { proxy }],
        [{ HTTPS_PROXY: proxy, HTTP_PROXY: proxy }, {}],
        [{ HTTPS_PROXY: bare, HTTP_PROXY: bare }, {}],
      ]) {
        const tokenEndpoint = endpoints[endpoint]();
        const { manager } = make(t, environment, { tokenEndpoint, ...options });
        assert.equal(typeof (await manager.getToken()), 'string');
      }
    });
  }

  test('carries the request for the discovery document too', async (t) => {
    proxies.open.asked.length = 0;
    const { manager } = make(t, {}, { issuer: plain.issuer, proxy: url('open') });
    await manager.getToken();
    assert.match(proxies.open.asked.join(), /^GET [^,]+,POST [^,]+$/);
  });

  describe('that speaks https', () => {
    let proxy;
    before(async () => {
      const { key, cert } = certificates.server;
      proxy = `https://${(await startProxy(undefined, https.createServer({ key, cert }))).host}`;
    });

    test('forwards requests for https and http', async (t) => {
      for (const { tokenEndpoint } of [secure, plain]) {
        const { manager } = make(t, {}, { tokenEndpoint, proxy });
        assert.equal(typeof (await manager.getToken()), 'string');
      }
    });

    test('must have a trusted certificate', async (t) => {
      const { tokenEndpoint } = secure;
      const { manager } = make(t, {}, { tokenEndpoint, proxy, ca: undefined });
      const error = await rejection(manager.getToken(), 'ERR_KEYCLOAK_TLS');
      assert.match(error.message, /unknown issuer/);
      assert.ok(error.message.includes(`through the proxy ${proxy}`), error.message);
    });

    test('makes the constructor refuse a client certificate', (t) => {
      const tokenEndpoint = endpoints['https elsewhere']();
      const { cert, key } = certificates.client('agent');
      const given = { tokenEndpoint, clientCertificate: cert, clientKey: key };
      const credential = { ...given, clientId: 'agent', clientSecret: undefined };
      for (const [environment, options, named] of [
        [{}, { proxy }, 'proxy'],
        [{ HTTPS_PROXY: proxy }, {}, 'HTTPS_PROXY'],
      ]) {
        assert.throws(() => make(t, environment, { ...credential, ...options }), {
          code: 'ERR_KEYCLOAK_CONFIG',
          message: new RegExp(
            `\\(${named}\\).*use an http proxy|use an http proxy.*\\(${named}\\)`,
          ),
        });
      }
      make(t, { HTTPS_PROXY: proxy, NO_PROXY: NOWHERE }, credential);
    });
  });

  test('cannot read the tunnel or impersonate the server', async (t) => {
    const { tokenEndpoint } = secure;
    const { manager } = make(t, {}, { tokenEndpoint, ca: undefined, proxy: url('open') });
    const error = await rejection(manager.getToken(), 'ERR_KEYCLOAK_TLS');
    assert.match(error.message, /unknown issuer/);
    assert.ok(error.message.includes(`through the proxy ${url('open')}`), error.message);
  });

  test('appears in the error after a missed deadline', async (t) => {
    for (const endpoint of ['https', 'http']) {
      const given = { tokenEndpoint: endpoints[endpoint](), proxy: url('silent') };
      const { manager } = make(t, {}, { ...given, requestTimeoutMs: 300 });
      const { message } = await rejection(manager.getToken(), 'ERR_KEYCLOAK_TIMEOUT');
      assert.ok(message.includes(`through the proxy ${url('silent')}`), message);
    }
  });

  test('fails the acquisition if the variable is unusable, without a direct connection', async (t) => {
    const https_proxy = 'ftp://jane:canary@127.0.0.1:1080';
    const elsewhere = { tokenEndpoint: endpoints['https elsewhere'](), requestTimeoutMs: 1_200 };
    const { manager, at } = make(t, { https_proxy }, elsewhere);
    const error = await rejection(manager.getToken(), 'ERR_KEYCLOAK_NETWORK');
    assert.match(error.message, /https_proxy in the environment is not the URL of/);
    assert.doesNotMatch(`${error.message} ${at('warn')}`, CREDENTIALS);
    const direct = make(t, { https_proxy }, { ...elsewhere, proxy: false });
    const { message } = await rejection(direct.manager.getToken(), 'ERR_KEYCLOAK_NETWORK');
    assert.match(message, /could not resolve the host name.*\((ENOTFOUND|EAI_AGAIN)\)/);
    const local = make(t, { https_proxy }, { tokenEndpoint: secure.tokenEndpoint });
    assert.equal(typeof (await local.manager.getToken()), 'string');
  });
});

/** A port without a listener. */
async function deadPort() {
  const { port: free, stop } = await listen(undefined, net.createServer());
  await stop();
  return free;
}

const WRONG_PASSWORD = /authentication failed \(status 407\); check the user name and password/;
const strict = () => `http://jane:canary@${proxies.strict.host}`;
const socks = () => `socks5h://jane:canary@${proxies.socks.host}`;
const unresolved = () => `socks5://${proxies.socks.host}`;
const dead = async () => `http://jane:canary@127.0.0.1:${await deadPort()}`;
const FAILURES = [
  ['a wrong password for a tunnel', 'https', strict, WRONG_PASSWORD],
  ['a wrong password for a request', 'http', strict, WRONG_PASSWORD],
  ['a missing password', 'https', () => url('strict'), WRONG_PASSWORD],
  ['a forbidden tunnel', 'https', () => url('forbidding'), /the proxy refused to open a tunnel/],
  ['a tunnel that fails', 'https', () => url('failing'), /the proxy refused to open a tunnel/],
  ['a tunnel to an unknown host', 'https elsewhere', () => url('open'), /tunnel/],
  ['a proxy that is down', 'https', dead, /connection was refused/],
  ['a proxy that is down, for http', 'http', dead, /connection was refused/],
  ['a SOCKS proxy that requires no password', 'http', socks, /the proxy URL contains a user name/],
  [
    'a host name that only the SOCKS proxy can resolve',
    'http elsewhere',
    unresolved,
    /only the proxy knows the name, use socks5h/,
  ],
  ['an unknown proxy', 'https', () => 'http://jane:canary@proxy.invalid:3', /could not resolve/],
];

describe('an error names the proxy without its password', { concurrency: true }, () => {
  for (const [name, endpoint, proxy, message] of FAILURES) {
    test(`${name} causes ERR_KEYCLOAK_NETWORK`, async (t) => {
      const given = await proxy();
      const { manager, at } = make(t, {}, { tokenEndpoint: endpoints[endpoint](), proxy: given });
      const error = await rejection(manager.getToken(), 'ERR_KEYCLOAK_NETWORK');
      const { protocol, host } = new URL(given);
      assert.match(error.message, message);
      assert.ok(error.message.includes(`(through the proxy ${protocol}//${host})`), error.message);
      assert.equal(error.retryable, true);
      const shown = inspect([error, manager, at('warn'), manager.snapshot()], { depth: 9 });
      for (const text of [shown, JSON.stringify(error), error.stack]) {
        assert.doesNotMatch(text, CREDENTIALS);
      }
    });
  }
});
