'use strict';

// `client_secret_jwt`, `private_key_jwt` and `client_assertion_file`: the requests, the files that
// the manager reads again, and the errors.

const assert = require('node:assert/strict');
const { generateKeyPairSync } = require('node:crypto');
const fs = require('node:fs');
const { describe, test } = require('node:test');
const { inspect } = require('node:util');
const { makeFile } = require('./support/files.js');
const { jwkOf } = require('./support/jwk.js');
const { rejection } = require('./support/manager.js');
const { BEARER, startVerifying } = require('./support/verifying-endpoint.js');

const SECRET = 'a-secret-of-enough-letters-for-hmac';
const pem = (key, more) => key.export({ type: 'pkcs8', format: 'pem', ...more });

const RSA = generateKeyPairSync('rsa', { modulusLength: 2048 });
const EC = generateKeyPairSync('ec', { namedCurve: 'P-256' });
const start = (t, believes, options) => startVerifying(t, { believes }, options);

/** The claims of an assertion. */
const claimsOf = ({ form }) =>
  JSON.parse(Buffer.from(form.client_assertion.split('.')[1], 'base64url').toString());

describe('private_key_jwt', () => {
  test('a JWK authenticates the client', async (t) => {
    const believes = { algorithm: 'ES256', key: EC.publicKey, kid: 'k' };
    const privateKey = { ...jwkOf(EC.privateKey), kid: 'k' };
    const { endpoint, manager } = await start(t, believes, { privateKey });
    assert.equal(await manager.getToken(), 'token-1');
    const [request] = endpoint.requests;
    const fields = ['grant_type', 'client_id', 'client_assertion_type', 'client_assertion'];
    assert.deepEqual(Object.keys(request.form), fields);
    assert.equal(request.headers.authorization, undefined);
    const { exp, iat, jti, ...claims } = claimsOf(request);
    assert.deepEqual(claims, { iss: 'agent', sub: 'agent', aud: endpoint.issuer });
    assert.equal(exp - iat, 60);
    assert.ok(Math.abs(iat - Date.now() / 1_000) < 15);
    assert.ok(jti.length >= 20);
  });

  test('every attempt has its own assertion, even on a replaced connection', async (t) => {
    const believes = { algorithm: 'ES256', key: EC.publicKey };
    const { endpoint, manager } = await start(t, believes, { privateKey: pem(EC.privateKey) });
    endpoint.state.answer = (n) => (n < 3 ? { status: 503, body: {} } : undefined);
    assert.equal(await manager.getToken(), 'token-3');
    endpoint.state.answer = undefined;
    for (const { socket } of endpoint.requests) socket.destroy();
    await manager.getToken({ forceRefresh: true });
    const ids = endpoint.requests.map((request) => claimsOf(request).jti);
    assert.equal(new Set(ids).size, ids.length);
  });

  test('the manager does not try an unchanged key again after a refusal', async (t) => {
    const next = generateKeyPairSync('ec', { namedCurve: 'P-256' });
    const privateKeyFile = makeFile(t, pem(EC.privateKey));
    const believes = { algorithm: 'ES256', key: EC.publicKey };
    const { endpoint, manager } = await start(t, believes, { privateKeyFile });
    await manager.getToken();
    endpoint.state.believes = { algorithm: 'ES256', key: next.publicKey };
    const refused = await rejection(manager.getToken({ forceRefresh: true }), 'ERR_KEYCLOAK_OAUTH');
    assert.match(refused.message, /register the key, or set keyId/);
    assert.equal(endpoint.requests.length, 2, 'the same key is not tried again');
    assert.equal(await manager.getToken(), 'token-1', 'the held token stays');
  });

  test('the same call tries a key that has replaced the refused key in its file', async (t) => {
    const next = generateKeyPairSync('ec', { namedCurve: 'P-256' });
    const privateKeyFile = makeFile(t, pem(EC.privateKey));
    const believes = { algorithm: 'ES256', key: next.publicKey };
    const { endpoint, manager } = await start(t, believes, { privateKeyFile });
    endpoint.state.answer = (n) => {
      if (n === 1) fs.writeFileSync(privateKeyFile, pem(next.privateKey));
    };
    assert.equal(await manager.getToken(), 'token-2');
  });

  // These texts are Keycloak's. The tests with a real Keycloak check some of them.
  for (const [description, advice] of [
    ['Token was issued in the future', /this machine's clock is ahead/],
    ['Token is not active', /expired or is not valid yet/],
    ['Invalid signature algorithm', /set signingAlgorithm/],
    ['Unable to load public key', /set keyId to its kid/],
    ['Invalid token audience', /set assertionAudience/],
  ]) {
    test(`the error for "${description}" has advice`, async (t) => {
      const { endpoint, manager } = await start(t, {}, { privateKey: pem(EC.privateKey) });
      const body = { error: 'invalid_client', error_description: description };
      endpoint.state.answer = () => ({ status: 400, body });
      const error = await rejection(manager.getToken(), 'ERR_KEYCLOAK_OAUTH');
      assert.match(error.message, advice);
    });
  }

  test('the error names a file without a usable key, and does not show its content', async (t) => {
    const half = pem(RSA.privateKey).slice(0, 400);
    const encrypted = pem(RSA.privateKey, { cipher: 'aes-256-cbc', passphrase: 'canary' });
    for (const [name, text, problem, signingAlgorithm] of [
      ['truncated', half, /cut off or malformed/],
      ['encrypted', encrypted, /it is encrypted/],
      ['empty', '', /contains no PEM private key/],
      [
        'another kind',
        pem(EC.privateKey),
        /RS256 does not fit this key, which can only sign with ES256/,
        'RS256',
      ],
    ]) {
      const options = { privateKeyFile: makeFile(t, text), signingAlgorithm };
      const { endpoint, manager, at } = await start(t, {}, options);
      const error = await rejection(manager.getToken(), 'ERR_KEYCLOAK_CREDENTIAL');
      assert.match(error.message, problem, name);
      assert.match(error.message, /privateKeyFile/, name);
      assert.equal(endpoint.requests.length, 0, name);
      const shown = `${inspect(error)} ${at('warn')} ${inspect(manager, { depth: 9 })}`;
      assert.doesNotMatch(shown, /canary|BEGIN|MII/, name);
    }
  });
});

describe('client_secret_jwt', () => {
  test('the manager does not send the secret, and calls the secret function again after a refusal', async (t) => {
    const secrets = ['an-old-secret-that-is-long-enough', SECRET];
    const { endpoint, manager } = await start(
      t,
      { algorithm: 'HS256', secret: SECRET },
      { clientSecret: () => secrets.shift(), clientAuthentication: 'client_secret_jwt' },
    );
    assert.equal(await manager.getToken(), 'token-2');
    assert.equal(endpoint.requests.length, 2);
    const sent = JSON.stringify(endpoint.requests.map(({ form, headers }) => [form, headers]));
    assert.doesNotMatch(sent, new RegExp(SECRET));
  });
});

describe('client_assertion_file', () => {
  const SPIFFE = 'urn:ietf:params:oauth:client-assertion-type:jwt-spiffe';

  for (const [name, type, options] of [
    ['a projected token', BEARER, {}],
    ['a JWT-SVID', SPIFFE, { clientAssertionType: SPIFFE }],
  ]) {
    test(`the manager sends ${name} unchanged`, async (t) => {
      const clientAssertionFile = makeFile(t, 'eyJ.first.one\n');
      const believes = { assertion: { text: 'eyJ.first.one', type } };
      const { endpoint, manager } = await start(t, believes, { clientAssertionFile, ...options });
      assert.equal(await manager.getToken(), 'token-1');
      assert.equal(endpoint.requests[0].form.client_id, 'agent');
    });
  }

  test('the manager reads the file for every attempt', async (t) => {
    const clientAssertionFile = makeFile(t, 'eyJ.first.one');
    const believes = { assertion: { text: 'eyJ.second.one', type: BEARER } };
    const { endpoint, manager } = await start(t, believes, { clientAssertionFile });
    endpoint.state.answer = (n) => {
      if (n > 1) return undefined;
      fs.writeFileSync(clientAssertionFile, 'eyJ.second.one');
      return { status: 503, body: {} };
    };
    assert.equal(await manager.getToken(), 'token-2');
  });

  test('the manager reads the file again before it retries after an outdated document or token', async (t) => {
    const clientAssertionFile = makeFile(t, 'eyJ.first.one');
    const believes = { assertion: { text: 'eyJ.second.one', type: BEARER } };
    const options = { clientAssertionFile, issuer: true };
    const { endpoint, manager } = await start(t, believes, options);
    const old = { access_token: 'old', expires_in: 300 };
    endpoint.state.document = { token_endpoint: `${endpoint.origin}/old` };
    endpoint.state.answer = (_n, { url }) =>
      url === '/old' ? { status: 200, body: old } : undefined;
    assert.equal(await manager.getToken(), 'old');
    endpoint.state.document = {};
    endpoint.state.answer = (_n, { url }) => {
      if (url !== '/old') return undefined;
      fs.writeFileSync(clientAssertionFile, 'eyJ.second.one');
      return { status: 404, body: {} };
    };
    assert.match(await manager.getToken({ forceRefresh: true }), /^token-/);
    endpoint.state.answer = (n) => {
      if (n > 6) return undefined;
      fs.writeFileSync(clientAssertionFile, 'eyJ.third.one');
      endpoint.state.believes = { assertion: { text: 'eyJ.third.one', type: BEARER } };
      return { status: 200, headers: { age: '400' }, body: { ...old, access_token: 'aged' } };
    };
    assert.equal(await manager.getToken({ forceRefresh: true }), 'token-7');
    assert.equal(endpoint.refusalCount, 0);
  });

  test('the error names a missing or empty file', async (t) => {
    for (const [place, problem] of [
      ['/nowhere/token', /clientAssertionFile "\/nowhere\/token" is unreadable/],
      [makeFile(t, ' \n'), /is empty/],
    ]) {
      const { manager } = await start(t, {}, { clientAssertionFile: place });
      const error = await rejection(manager.getToken(), 'ERR_KEYCLOAK_CREDENTIAL');
      assert.match(error.message, problem);
    }
  });

  test('the error does not show an assertion that the server repeats', async (t) => {
    const assertion = 'eyJhbGciOiJSUzI1NiJ9.canarycanarycanary.signature';
    const options = { clientAssertionFile: makeFile(t, assertion) };
    const { endpoint, manager } = await start(t, {}, options);
    const body = { error: 'invalid_client', error_description: `bad assertion ${assertion}` };
    endpoint.state.answer = () => ({ status: 401, body });
    const error = await rejection(manager.getToken(), 'ERR_KEYCLOAK_OAUTH');
    assert.doesNotMatch(inspect(error), /canary/);
  });
});
