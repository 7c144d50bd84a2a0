'use strict';

// `issuer`: the manager reads and checks the discovery document before the first token, and reads
// it again when the endpoint is gone.

const assert = require('node:assert/strict');
const http = require('node:http');
const net = require('node:net');
const { describe, test } = require('node:test');
const { inspect } = require('node:util');
const { makeCertificates } = require('../tools/certificates.js');
const { listen } = require('./support/listen.js');
const { delay, rejection, times, tokenJson } = require('./support/manager.js');
const { startVerifying } = require('./support/verifying-endpoint.js');

const SECRET = 'a-secret';

async function start(t, options, settings) {
  const given = { issuer: true, clientSecret: SECRET, ...options };
  const parts = await startVerifying(t, { believes: { secret: SECRET }, ...settings }, given);
  const methods = () => parts.endpoint.requests.map(({ method }) => method).join(' ');
  return { ...parts, methods };
}

describe('discovery', () => {
  test('the manager reads the document once for many callers, with the first token', async (t) => {
    const { manager, methods } = await start(t);
    assert.equal(methods(), '');
    const tokens = await Promise.all(times(50, () => manager.getToken()));
    assert.deepEqual(new Set(tokens), new Set(['token-2']));
    await manager.getToken({ forceRefresh: true });
    assert.equal(methods(), 'GET POST POST');
  });

  test('the manager reads the document again in the call whose endpoint answers 404', async (t) => {
    const { endpoint, manager } = await start(t);
    endpoint.state.document = { token_endpoint: `${endpoint.origin}/old` };
    const old = { status: 200, body: { access_token: 'old', expires_in: 300 } };
    endpoint.state.answer = (_n, { url }) => (url === '/old' ? old : undefined);
    assert.equal(await manager.getToken(), 'old');
    endpoint.state.document = {};
    endpoint.state.answer = undefined;
    assert.match(await manager.getToken({ forceRefresh: true }), /^token-/);
  });

  const closed = 'http://127.0.0.1:1/token';
  const noRoute = Object.assign(new TypeError('fetch failed'), {
    cause: Object.assign(new Error('connect'), { code: 'EHOSTUNREACH' }),
  });
  for (const [name, old, options] of [
    ['refuses connections', () => closed],
    ['has no route', () => 'http://255.255.255.255:9/token'],
    ['does not speak TLS', ({ origin }) => `https:${new URL(origin).host}/token`],
    // A `tokenFetch` function does not report whether it is still connecting.
    ...(process.env.WITH_TOKEN_FETCH === undefined
      ? [['opens no connection in time', (_, address) => `https://${address}/token`]]
      : []),
    [
      'fails in tokenFetch',
      () => closed,
      { tokenFetch: (url, init) => (url === closed ? Promise.reject(noRoute) : fetch(url, init)) },
    ],
  ]) {
    test(`the manager reads the document again in the next call if its endpoint ${name}`, async (t) => {
      const { endpoint, manager } = await start(t, { requestTimeoutMs: 500, ...options });
      // The server accepts connections and never answers.
      const { address } = await listen(t, net.createServer());
      endpoint.state.document = { token_endpoint: old(endpoint, address) };
      const error = await manager.getToken().catch((reason) => reason);
      assert.match(error.code, /NETWORK|TLS|TIMEOUT/, error.message);
      endpoint.state.document = {};
      await delay(error.retryAfterMs + 10);
      assert.match(await manager.getToken(), /^token-/);
    });
  }

  test('the manager keeps the document while a gateway answers 404 in place of the server', async (t) => {
    const { endpoint, manager, methods } = await start(t);
    await manager.getToken();
    endpoint.state.answer = (n) => (n <= 4 ? { status: 404 } : undefined);
    assert.equal(await manager.getToken({ forceRefresh: true }), 'token-5');
    assert.equal(methods(), 'GET POST POST GET POST');
  });

  test('the manager reads the document again in the call whose endpoint refuses connections', async (t) => {
    const old = await listen(
      t,
      http.createServer((_, response) => response.end(tokenJson('old'))),
    );
    const { endpoint, manager } = await start(t);
    endpoint.state.document = { token_endpoint: `http://${old.address}/token` };
    assert.equal(await manager.getToken(), 'old');
    await old.stop();
    endpoint.state.document = {};
    assert.match(await manager.getToken({ forceRefresh: true }), /^token-/);
  });

  test('a missing endpoint is an error once the manager has read the document again', async (t) => {
    const { endpoint, manager, methods } = await start(t);
    endpoint.state.document = { token_endpoint: `${endpoint.origin}/nowhere` };
    const error = await rejection(manager.getToken(), 'ERR_KEYCLOAK_HTTP');
    assert.equal(error.status, 404);
    assert.match(error.message, /not a token endpoint; check Keycloak's hostname settings/);
    assert.equal(error.tokenEndpoint, `${endpoint.origin}/nowhere`);
    assert.equal(methods(), 'GET POST');
  });

  test('the manager retries the request for a document as it retries a token request', async (t) => {
    const { endpoint, manager, methods } = await start(t);
    endpoint.state.answer = (n) => (n < 3 ? { status: 503, body: {} } : undefined);
    assert.equal(await manager.getToken(), 'token-4');
    assert.equal(methods(), 'GET GET GET POST');
  });

  const another = { issuer: 'https://public.example/realms/test' };
  // `crates/oauth/src/discovery.rs` lists the documents that the manager refuses.
  for (const [name, document, problem] of [
    [
      'another issuer',
      another,
      /belongs to the issuer "(https:\/\/public\.example[^"]*)", .* set issuer to "\1", or/,
    ],
    ['no endpoint', { token_endpoint: undefined }, /has no token_endpoint/],
  ]) {
    test(`the manager refuses a document with ${name}`, async (t) => {
      const { endpoint, manager } = await start(t);
      endpoint.state.document = document;
      const error = await rejection(manager.getToken(), 'ERR_KEYCLOAK_PROTOCOL');
      assert.match(error.message, problem);
      assert.deepEqual([error.status, error.retryable], [200, false]);
    });
  }

  test('no error that quotes a document shows the secret', async (t) => {
    for (const answer of [
      { status: 200, body: { issuer: SECRET, token_endpoint: 'https://a.example' } },
      { status: 403, body: { error: SECRET, error_description: `no ${SECRET}` } },
      { status: 500, body: { error: SECRET } },
    ]) {
      const { endpoint, manager } = await start(t, { requestTimeoutMs: 1_200 });
      endpoint.state.answer = () => answer;
      const error = await manager.getToken().catch((reason) => reason);
      assert.match(error.message, /discovery failed/);
      for (const text of [error.message, error.oauthError, error.oauthErrorDescription]) {
        assert.ok(!text?.includes(SECRET), text);
      }
    }
  });

  test('no error shows an endpoint that contains the secret', async (t) => {
    for (const [place, code] of [
      [({ origin }) => `${origin}/${SECRET}`, 'HTTP'],
      [() => `http://${SECRET}.invalid/t`, 'NETWORK'],
    ]) {
      const { endpoint, manager, lines } = await start(t, { requestTimeoutMs: 1_200 });
      endpoint.state.document = { token_endpoint: place(endpoint) };
      const error = await rejection(manager.getToken(), `ERR_KEYCLOAK_${code}`);
      assert.equal(error.tokenEndpoint, '[redacted]');
      const shown = inspect([error, lines, manager.snapshot(), manager], { depth: 9 });
      assert.ok(!shown.includes(SECRET), shown);
    }
  });

  const large = { x: 'x'.repeat(1_100_000) };
  const noRealm = { error: 'Realm does not exist' };
  for (const [name, answer, code, problem] of [
    ['a missing realm', { status: 404, body: noRealm }, 'HTTP', /check iss/],
    ['a redirect', { status: 302, body: {} }, 'PROTOCOL', /is a redirect/],
    ['a large document', { status: 200, body: large }, 'PROTOCOL', /configuration: .* 1 MiB/],
    [
      'a gateway',
      { status: 401, body: { error: 'unauthorized' } },
      'OAUTH',
      /refused the discovery request/,
    ],
    ['another path', { status: 404, body: {} }, 'HTTP', /this URL is not an issuer/],
  ]) {
    test(`the error for ${name} names the cause`, async (t) => {
      const { endpoint, manager } = await start(t);
      endpoint.state.answer = () => answer;
      const error = await rejection(manager.getToken(), `ERR_KEYCLOAK_${code}`);
      assert.match(error.message, problem);
      assert.match(error.message, /discovery failed with status \d+ .*at http/);
    });
  }

  test('the manager uses the mTLS endpoint alias only with a client certificate', async (t) => {
    const certificates = makeCertificates();
    const client = certificates.client('agent');
    const { server, ca } = certificates;
    const tls = { ...server, ca: ca.cert, requestCert: true, rejectUnauthorized: false };
    const byCertificate = { clientCertificate: client.cert, clientKey: client.key };
    for (const [credential, believes, path] of [
      [{ clientSecret: undefined, ...byCertificate }, { subject: 'agent' }, /connect\/token$/],
      [{}, { secret: SECRET }, /elsewhere$/],
    ]) {
      const options = { ca: ca.cert, ...credential };
      const { endpoint, manager } = await start(t, options, { tls, believes });
      endpoint.state.document = {
        token_endpoint: `${endpoint.origin}/elsewhere`,
        mtls_endpoint_aliases: { token_endpoint: endpoint.tokenEndpoint },
      };
      await manager.getToken().catch(() => {});
      assert.match(endpoint.requests.at(-1).url, path);
    }
  });

  test('the manager uses a method that the document does not list, and warns once', async (t) => {
    for (const [listed, warned] of [
      [['private_key_jwt'], 1],
      [['client_secret_post', 'private_key_jwt'], 0],
      ['nonsense', 0],
    ]) {
      const { endpoint, manager, at } = await start(t);
      endpoint.state.document = { token_endpoint_auth_methods_supported: listed };
      assert.equal(await manager.getToken(), 'token-2');
      assert.equal(at('warn').filter((line) => line.includes('does not list')).length, warned);
    }
  });

  test('the manager keeps its token if the document is wrong', async (t) => {
    const { endpoint, manager } = await start(t);
    const token = await manager.getToken();
    endpoint.state.answer = (_n, { method }) =>
      method === 'POST' ? { status: 404, body: {} } : { status: 200, body: { issuer: 'x' } };
    await rejection(manager.getToken({ forceRefresh: true }), 'ERR_KEYCLOAK_PROTOCOL');
    assert.equal(await manager.getToken(), token);
  });
});
