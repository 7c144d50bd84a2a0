/**
 * Tokens from a real Keycloak that are bound to a key (DPoP): every kind of key, proofs that an API
 * (userinfo) accepts and refuses, and the token endpoint's refusals.
 */
'use strict';

const assert = require('node:assert/strict');
const { generateKeyPairSync, randomUUID } = require('node:crypto');
const { once } = require('node:events');
const http = require('node:http');
const { text } = require('node:stream/consumers');
const { test } = require('node:test');

const { startApi } = require('../support/api-server.js');
const { jwkOf } = require('../support/jwk.js');
const { delay, rejection } = require('../support/manager.js');
const { differenceOf, optionsFor } = require('./support/differences');
const { claimsOf, createClient, describeWithKeycloak, manage } = require('./support/keycloak');

const jwk = (type, options, alg) => {
  const { privateKey } = generateKeyPairSync(type, options);
  return { ...jwkOf(privateKey), ...(alg && { alg }) };
};
const KEYS = {
  'a generated key': undefined,
  RS256: jwk('rsa', { modulusLength: 2048 }),
  PS256: jwk('rsa', { modulusLength: 2048 }, 'PS256'),
  ES256: jwk('ec', { namedCurve: 'P-256' }),
  ES384: jwk('ec', { namedCurve: 'P-384' }),
  EdDSA: jwk('ed25519'),
};
const NO_DPOP = 'a server without DPoP';
const supported = () => optionsFor(NO_DPOP);
const REQUIRED = { attributes: { 'dpop.bound.access.tokens': 'true' } };
const INVALID = /error="invalid_token", error_description="Token verification failed"/;

describeWithKeycloak('DPoP', {}, (keycloak) => {
  const clients = new WeakMap();

  /** Makes a client that requires proofs, and a manager for it. */
  async function make(t, options, members = REQUIRED) {
    const { clientId, secret } = await createClient(keycloak, {
      ...members,
      defaultClientScopes: ['basic'],
      optionalClientScopes: ['openid'],
    });
    const manager = manage(t, {
      tokenEndpoint: keycloak.tokenEndpoint,
      clientId,
      clientSecret: secret,
      scope: 'openid',
      resource: { baseUrl: `${keycloak.realmUrl}/protocol/openid-connect` },
      dpop: true,
      ...options,
    });
    clients.set(manager, { client_id: clientId, secret });
    return manager;
  }

  for (const [name, dpopKey] of Object.entries(KEYS)) {
    test(
      `${name}: the token is bound to the key, and the API accepts its proofs`,
      supported(),
      async (t) => {
        const manager = await make(t, { dpopKey });
        const { token, tokenType } = await manager.getAccessToken();
        assert.equal(tokenType, 'DPoP');
        const { cnf, typ } = claimsOf(token);
        assert.deepEqual([cnf.jkt, typ], [manager.snapshot().dpopThumbprint, 'DPoP']);
        for (const init of [undefined, { method: 'POST' }]) {
          const response = await manager.fetch('userinfo?a=b', init);
          assert.equal(response.status, 200, response.headers.get('www-authenticate'));
        }
      },
    );
  }

  test(
    'userinfo accepts a proof from dpopProof() and the result of headers()',
    supported(),
    async (t) => {
      const manager = await make(t);
      const url = `${keycloak.realmUrl}/protocol/openid-connect/userinfo`;
      const token = await manager.getToken();
      const request = { method: 'GET', url };
      const dpop = manager.dpopProof({ ...request, token });
      for (const headers of [
        { authorization: `DPoP ${token}`, dpop },
        await manager.headers(request),
      ]) {
        assert.equal((await fetch(url, { headers })).status, 200);
      }
      const { Authorization, DPoP } = await manager.headers(request);
      for (const [what, headers] of [
        ['no proof', { Authorization }],
        ['a proof that was used', { Authorization, DPoP: dpop }],
        ['the scheme Bearer', { Authorization: `Bearer ${token}`, DPoP }],
        ['a proof for another method', await manager.headers({ ...request, method: 'POST' })],
      ]) {
        const response = await fetch(url, { headers });
        assert.equal(response.status, 401, what);
        assert.match(response.headers.get('www-authenticate'), INVALID, what);
      }
    },
  );

  test('a call with a revoked token gets a new token and a new proof', supported(), async (t) => {
    const manager = await make(t);
    const token = await manager.getToken();
    const revocation = `${keycloak.realmUrl}/protocol/openid-connect/revoke`;
    const { client_id, secret } = clients.get(manager);
    const body = new URLSearchParams({ client_id, client_secret: secret, token });
    assert.equal((await fetch(revocation, { method: 'POST', body })).status, 200);
    assert.equal((await manager.fetch('userinfo')).status, 200);
    assert.notEqual(await manager.getToken(), token);
  });

  test(
    'each request has a new assertion and a new proof, even with discovery',
    supported(),
    async (t) => {
      const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-384' });
      const jwks = { keys: [{ ...jwkOf(publicKey), alg: 'ES384', use: 'sig' }] };
      const clientId = `made-${randomUUID()}`;
      await createClient(keycloak, {
        clientId,
        clientAuthenticatorType: 'client-jwt',
        attributes: {
          ...REQUIRED.attributes,
          'use.jwks.string': 'true',
          'jwks.string': JSON.stringify(jwks),
        },
      });
      const manager = manage(t, {
        issuer: keycloak.realmUrl,
        clientId,
        privateKey: privateKey.export({ type: 'pkcs8', format: 'pem' }),
        dpop: true,
      });
      const first = await manager.getToken();
      assert.notEqual(await manager.getToken({ forceRefresh: true }), first);
      assert.equal(claimsOf(first).cnf.jkt, manager.snapshot().dpopThumbprint);
    },
  );

  test('a client that does not require proofs gets a bound token', supported(), async (t) => {
    const manager = await make(t, {}, {});
    assert.equal((await manager.getAccessToken()).tokenType, 'DPoP');
  });

  test('the request after a refused grant has another proof', supported(), async (t) => {
    const manager = await make(t, { scope: 'no-such-scope' });
    for (let time = 0; time < 2; time += 1) {
      // Keycloak refuses a proof that it has seen, even in a request that it refused.
      const error = await rejection(manager.getToken(), 'ERR_KEYCLOAK_OAUTH');
      assert.equal(error.oauthError, 'invalid_scope');
      await delay(error.retryAfterMs);
    }
    assert.equal(manager.snapshot().counters.acquisitions, 2);
  });

  for (const [what, change, description, advice, times] of [
    [
      'a proxy that rewrites the host',
      { host: 'keycloak.example' },
      'DPoP HTTP URL mismatch',
      /proxy changes the host/,
    ],
    ['a proxy that drops the proof', { dpop: undefined }, 'DPoP proof is missing', /did not reach/],
    [
      'a proxy that alters the proof',
      { dpop: 'a.b.c' },
      'DPoP header verification failure',
      /altered or twice/,
    ],
    [
      'a proxy that sends each request twice',
      {},
      'DPoP proof has already been used',
      /reached the server twice/,
      2,
    ],
  ]) {
    test(`the error caused by ${what} has advice`, supported(), async (t) => {
      const { url } = await startProxy(t, keycloak.url, change, times);
      const tokenEndpoint = keycloak.tokenEndpoint.replace(keycloak.url, url);
      const manager = await make(t, { tokenEndpoint });
      const error = await rejection(manager.getToken(), 'ERR_KEYCLOAK_OAUTH');
      assert.equal(error.oauthErrorDescription, description);
      assert.match(error.message, advice);
    });
  }

  // Only older releases ignore proofs.
  if (differenceOf(NO_DPOP).leftOut === undefined) return;
  test('the error for a server that ignores proofs names this cause', async (t) => {
    const error = await rejection((await make(t)).getToken(), 'ERR_KEYCLOAK_PROTOCOL');
    assert.match(error.message, /ignored the DPoP proof.* before 26\.4/);
  });
});

/** Passes requests on to a server, with changed headers, and returns the last answer. */
function startProxy(t, target, change, times = 1) {
  return startApi(t, async ({ method, url, headers }, _response, body) => {
    const options = { method, headers: withoutAbsent({ ...headers, ...change }) };
    let answer;
    for (let time = 0; time < times; time += 1) {
      const onward = http.request(`${target}${url}`, options).end(body);
      const [response] = await once(onward, 'response');
      answer = [response.statusCode, response.headers, await text(response)];
    }
    return answer;
  });
}

function withoutAbsent(members) {
  return Object.fromEntries(Object.entries(members).filter(([, value]) => value !== undefined));
}
