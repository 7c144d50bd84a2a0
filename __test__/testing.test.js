'use strict';

const assert = require('node:assert/strict');
const crypto = require('node:crypto');
const { describe, test } = require('node:test');
const { startEndpoint: start } = require('./support/manager.js');
const { CLIENT, GRANT, basic, grant, post } = require('./support/token-requests.js');

const GENERIC = 'Invalid client or Invalid client credentials';

const encode = (text) => encodeURIComponent(text).replaceAll('%20', '+');

function decode(token) {
  const [header, claims] = token.split('.').map((part) => Buffer.from(part, 'base64url'));
  return { header: JSON.parse(header), claims: JSON.parse(claims) };
}

describe('the fake token endpoint answers like Keycloak', { concurrency: true }, () => {
  test('with the headers and fields of a granted token', async (t) => {
    const endpoint = await start(t);
    const { status, headers, text } = await post(endpoint);
    assert.equal(status, 200);
    assert.equal(headers.get('cache-control'), 'no-store');
    assert.equal(headers.get('pragma'), 'no-cache');
    assert.equal(headers.get('content-type'), 'application/json');
    assert.equal(headers.get('date'), null);
    const { access_token: token } = JSON.parse(text);
    assert.equal(
      text,
      `{"access_token":"${token}","expires_in":300,"refresh_expires_in":0,` +
        '"token_type":"Bearer","not-before-policy":0,"scope":"email profile"}',
    );
  });

  const HEADER = { authorization: 'Basic !' };
  const JSON_HEADER = { 'content-type': 'application/json' };
  const PASSWORD = { ...CLIENT, grant_type: 'password' };
  const TWICE = `${new URLSearchParams({ ...GRANT, ...CLIENT })}&a=1&a=1`;
  const NO_GRANT = 'Missing form parameter: grant_type';
  const refusals = [
    ['a wrong secret', { ...GRANT, ...CLIENT, client_secret: 'x' }, {}, 401, 'unauthorized_client'],
    ['no secret', { ...GRANT, client_id: 'test-client' }, {}, 401, 'unauthorized_client'],
    ['an unknown client', { ...GRANT, ...CLIENT, client_id: 'x' }, {}, 401, 'invalid_client'],
    ['no client', GRANT, {}, 401, 'invalid_client'],
    ['a malformed header', GRANT, HEADER, 401, 'invalid_client'],
    ['a wrong secret in the header', GRANT, basic('test-client:x'), 401, 'unauthorized_client'],
    ['no grant type', CLIENT, {}, 400, 'invalid_request', NO_GRANT],
    ['another grant', PASSWORD, {}, 400, 'unsupported_grant_type', 'Unsupported grant_type'],
    ['a body in JSON', JSON.stringify(GRANT), JSON_HEADER, 400, 'invalid_request', NO_GRANT],
    ['a repeated parameter', TWICE, {}, 400, 'invalid_request', 'duplicated parameter'],
  ];
  for (const [name, fields, headers, status, error, description = GENERIC] of refusals) {
    test(`to a request with ${name}`, async (t) => {
      const answer = await post(await start(t), fields, headers);
      assert.equal(answer.status, status);
      assert.equal(answer.text, JSON.stringify({ error, error_description: description }));
      assert.equal(answer.headers.get('cache-control'), 'no-store');
      assert.equal(answer.headers.get('www-authenticate'), null);
    });
  }

  const others = [
    ['POST', '/realms/other/protocol/openid-connect/token', 404, 'Realm does not exist'],
    ['GET', '/realms/test/protocol/openid-connect/token', 405, 'HTTP 405 Method Not Allowed'],
    ['POST', '/realms/test/protocol/openid-connect/x', 405, 'HTTP 405 Method Not Allowed'],
    ['GET', '/', 404, 'Unable to find matching target resource method'],
  ];
  for (const [method, where, status, error] of others) {
    test(`to ${method} ${where} with status ${status}, and counts no token request`, async (t) => {
      const endpoint = await start(t);
      const response = await fetch(endpoint.url + where, { method });
      assert.equal(response.status, status);
      assert.equal(await response.text(), JSON.stringify({ error }));
      assert.equal(endpoint.requestCount, 0);
    });
  }

  test('to a URL with a doubled slash', async (t) => {
    const endpoint = await start(t);
    const where = endpoint.tokenEndpoint.replace('/realms', '//realms');
    const response = await fetch(where, { method: 'POST' });
    assert.equal(response.status, 400);
    assert.equal((await response.json()).error, 'missingNormalization');
  });

  test('to a secret of any characters in the form or the header', async (t) => {
    const [id, secret] = ['spiffe://example.org/ns/a b', 'pässwörd ✓ +%:/&='];
    const endpoint = await start(t, { clients: { [id]: secret } });
    await grant(endpoint, { ...GRANT, client_id: id, client_secret: secret });
    const answer = await post(endpoint, GRANT, basic(`${encode(id)}:${encode(secret)}`));
    assert.equal(answer.status, 200, answer.text);
    const [first, second] = endpoint.requests;
    assert.deepEqual([first.clientId, second.clientId], [id, id]);
    assert.equal(second.authentication, 'client_secret_basic');
  });
});

describe('the tokens of the fake token endpoint', { concurrency: true }, () => {
  test('verify against the key set that the discovery document names', async (t) => {
    const endpoint = await start(t, { realm: 'my-realm', roles: ['viewer'], expiresIn: 120 });
    assert.equal(endpoint.issuer, `${endpoint.url}/realms/my-realm`);
    const found = await fetch(`${endpoint.issuer}/.well-known/openid-configuration`);
    const discovery = await found.json();
    assert.equal(discovery.issuer, endpoint.issuer);
    assert.equal(discovery.token_endpoint, endpoint.tokenEndpoint);
    assert.equal(discovery.jwks_uri, endpoint.jwksUri);
    const { keys } = await (await fetch(discovery.jwks_uri)).json();

    const before = Math.floor(Date.now() / 1000);
    const { access_token: token, expires_in: expiresIn } = await grant(endpoint);
    const { header, claims } = decode(token);
    assert.equal(header.alg, 'RS256');
    const jwk = keys.find(({ kid }) => kid === header.kid);
    const [head, body, signature] = token.split('.');
    const key = crypto.createPublicKey({ key: jwk, format: 'jwk' });
    const verify = (text) =>
      crypto.verify('sha256', Buffer.from(text), key, Buffer.from(signature, 'base64url'));
    assert.equal(verify(`${head}.${body}`), true);
    assert.equal(verify(`${head}.${body}x`), false);

    assert.equal(expiresIn, 120);
    assert.equal(claims.exp - claims.iat, 120);
    assert.ok(claims.iat >= before && claims.iat <= Date.now() / 1000);
    assert.equal(claims.iss, endpoint.issuer);
    assert.equal(claims.azp, 'test-client');
    assert.equal(claims.aud, 'account');
    assert.match(claims.jti, /^trrtcc:[\da-f-]{36}$/);
    assert.match(claims.sub, /^[\da-f]{8}(-[\da-f]{4}){3}-[\da-f]{12}$/);
    assert.deepEqual(claims.realm_access, { roles: ['viewer'] });
  });

  test('contain the requested scope, as does the answer', async (t) => {
    const endpoint = await start(t);
    const answer = await grant(endpoint, { ...GRANT, ...CLIENT, scope: 'a b' });
    assert.equal(answer.scope, 'a b');
    assert.equal(decode(answer.access_token).claims.scope, 'a b');
  });

  test('have the requested length, within a few bytes', async (t) => {
    for (const tokenSize of [2000, 8191, 65_536]) {
      const { length } = (await start(t, { tokenSize })).issueToken();
      assert.ok(length <= tokenSize && length > tokenSize - 8, `${length} for ${tokenSize}`);
    }
    const { length } = (await start(t, { tokenSize: 10 })).issueToken();
    assert.ok(length > 1000 && length < 1500, `${length}`);
  });

  test('can have other claims, without a request', async (t) => {
    const endpoint = await start(t, { clients: { first: 'x', second: 'y' } });
    const { claims } = decode(endpoint.issueToken({ exp: 1, aud: ['a', 'b'], scope: undefined }));
    assert.equal(claims.azp, 'first');
    assert.equal(claims.exp, 1);
    assert.deepEqual(claims.aud, ['a', 'b']);
    assert.equal('scope' in claims, false);
    assert.equal(endpoint.requestCount, 0);
  });
});
