/**
 * Clients of a real Keycloak that authenticate with a signature, by their own key or by the secret;
 * its refusals of such signatures; and a realm that is found by its issuer.
 */
'use strict';

const assert = require('node:assert/strict');
const { test } = require('node:test');
const { inspect } = require('node:util');

const { rejection } = require('../support/manager');
const { clientOf, makeKey } = require('./support/client-keys');
const { differenceOf, optionsFor } = require('./support/differences');
const {
  claimsOf,
  createClient,
  createRealm,
  describeWithKeycloak,
  manage,
} = require('./support/keycloak');

/** PS256 is the only one that a key does not imply. */
const algorithmOption = (algorithm) =>
  algorithm === 'PS256' ? { signingAlgorithm: algorithm } : {};

/** An algorithm, the kid of the key, and the form of the key. */
const KEYS = [
  ['RS256', undefined, 'PEM', ({ pem }) => ({ privateKey: pem })],
  ['PS256', 'a-key', 'PEM and keyId', ({ pem }) => ({ privateKey: pem, keyId: 'a-key' })],
  ['ES256', undefined, 'a JWK', ({ jwk }) => ({ privateKey: jwk })],
  ['ES256', 'a-key', 'a JWK with kid', ({ jwk }) => ({ privateKey: jwk })],
  ['EdDSA', undefined, 'PEM', ({ pem }) => ({ privateKey: pem })],
];

/** A client signs with ES256 and a key named `a-key`, but for what a row changes. */
const REFUSALS = [
  {
    what: 'an unknown key',
    options: () => ({ privateKey: makeKey('ES256').pem, keyId: 'a-key' }),
    description: /Client authentication with signed JWT failed/,
    advice: /register the key|the key is wrong/,
  },
  {
    what: 'an unknown kid',
    options: ({ pem }) => ({ privateKey: pem, keyId: 'another' }),
    description: /Unable to load public key/,
    advice: /register the key, or set keyId to its kid/,
  },
  {
    what: 'an assertion for another audience',
    options: ({ jwk }) => ({ privateKey: jwk, assertionAudience: 'https://other.example' }),
    description: /[Ii]nvalid token audience|Token audience doesn't match/,
    advice: /set assertionAudience to the issuer/,
  },
  {
    what: 'an unexpected algorithm',
    attributes: { 'token.endpoint.auth.signing.alg': 'RS256' },
    options: ({ jwk }) => ({ privateKey: jwk }),
    description: /[Ii]nvalid signature algorithm/,
    advice: /set signingAlgorithm/,
  },
];

describeWithKeycloak('signed assertions against a real Keycloak', {}, (keycloak) => {
  function manageHere(t, options) {
    const { issuer, tokenEndpoint = issuer ? undefined : keycloak.tokenEndpoint } = options;
    return manage(t, { ...options, tokenEndpoint });
  }

  const failureOf = (t, options, code = 'ERR_KEYCLOAK_OAUTH') =>
    rejection(manageHere(t, options).getToken(), code);

  /** The second token does not come from the cache. */
  async function assertGiven(manager, clientId) {
    for (const forceRefresh of [false, true]) {
      assert.equal(claimsOf(await manager.getToken({ forceRefresh })).azp, clientId);
    }
  }

  for (const [algorithm, kid, form, options] of KEYS) {
    test(
      `${algorithm} with a key as ${form} authenticates a client`,
      optionsFor(algorithm),
      async (t) => {
        const key = makeKey(algorithm, kid);
        const { clientId } = await createClient(keycloak, clientOf(algorithm, key));
        const given = { ...options(key), ...algorithmOption(algorithm) };
        await assertGiven(manageHere(t, { clientId, ...given }), clientId);
      },
    );
  }

  for (const algorithm of ['HS256', 'HS512']) {
    test(`${algorithm} with its secret authenticates a client`, async (t) => {
      const { clientId, secret } = await createClient(keycloak, {
        secret: 'a-secret-that-is-long-enough-for-all-of-the-algorithms-of-hmac-there-are',
        clientAuthenticatorType: 'client-secret-jwt',
        attributes: { 'token.endpoint.auth.signing.alg': algorithm },
      });
      const manager = manageHere(t, {
        clientId,
        clientSecret: secret,
        signingAlgorithm: algorithm,
        clientAuthentication: 'client_secret_jwt',
      });
      await assertGiven(manager, clientId);
    });
  }

  test('a wrong secret that signs is refused and not shown', async (t) => {
    const { clientId } = await createClient(keycloak, {
      clientAuthenticatorType: 'client-secret-jwt',
    });
    const clientSecret = 'canary-of-a-wrong-secret-that-is-long-enough';
    const manager = manageHere(t, {
      clientId,
      clientSecret,
      clientAuthentication: 'client_secret_jwt',
    });
    const error = await rejection(manager.getToken(), 'ERR_KEYCLOAK_OAUTH');
    assert.match(error.message, /the secret/);
    assert.doesNotMatch(inspect(error), /canary/);
  });

  for (const row of REFUSALS) {
    const { what, attributes, options } = row;
    test(`${what} is refused with advice`, optionsFor(what), async (t) => {
      const key = makeKey('ES256', 'a-key');
      const { clientId } = await createClient(keycloak, clientOf('ES256', key, attributes));
      const error = await failureOf(t, { clientId, ...options(key) });
      const { description, advice, status = 400 } = { ...row, ...differenceOf(what).expected };
      assert.equal(error.status, status);
      assert.equal(error.oauthError, 'invalid_client');
      assert.match(error.oauthErrorDescription, description);
      assert.match(error.message, advice);
      assert.deepEqual([error.retryable, error.attempts], [false, 1]);
      assert.doesNotMatch(inspect(error), /BEGIN|eyJ/);
    });
  }

  test('an issuer replaces the endpoint, with a secret and with a key', async (t) => {
    const { clientId, secret } = await createClient(keycloak);
    const issuer = keycloak.realmUrl;
    await assertGiven(manageHere(t, { issuer, clientId, clientSecret: secret }), clientId);
    await assertGiven(
      manageHere(t, { issuer: `${issuer}/`, clientId, clientSecret: secret }),
      clientId,
    );
    const key = makeKey('ES256');
    const other = await createClient(keycloak, clientOf('ES256', key));
    const manager = manageHere(t, { issuer, clientId: other.clientId, privateKey: key.pem });
    await assertGiven(manager, other.clientId);
  });

  for (const [what, from, to, code, message] of [
    [
      'an unknown realm',
      'kagenti',
      'nowhere',
      'ERR_KEYCLOAK_HTTP',
      /discovery failed.*the realm in the URL.*check issuer/,
    ],
    [
      'a double slash',
      '/realms',
      '//realms',
      'ERR_KEYCLOAK_OAUTH',
      /double slash, .* correct issuer/,
    ],
  ]) {
    test(`the error of an issuer with ${what} has advice`, optionsFor(what), async (t) => {
      const issuer = keycloak.realmUrl.replace(from, to);
      const error = await failureOf(t, { issuer, clientId: 'a', clientSecret: 'b' }, code);
      assert.match(error.message, message);
    });
  }

  test('the error of an issuer with another public name has both names', async (t) => {
    const publicUrl = 'https://sso.public.example';
    const realm = await createRealm(t, keycloak, { attributes: { frontendUrl: publicUrl } });
    const publicIssuer = `${publicUrl}/realms/${realm.name}`;
    const key = makeKey('ES256');
    const { clientId } = await createClient(keycloak, {
      ...clientOf('ES256', key),
      realm: realm.name,
    });
    const client = { clientId, privateKey: key.pem };
    const given = { issuer: realm.realmUrl, ...client };
    const error = await failureOf(t, given, 'ERR_KEYCLOAK_PROTOCOL');
    for (const part of [`"${publicIssuer}"`, `"${realm.realmUrl}"`, 'set issuer to it']) {
      assert.ok(error.message.includes(part), error.message);
    }

    const { tokenEndpoint } = realm;
    const misaddressed = await failureOf(t, { tokenEndpoint, ...client });
    assert.match(misaddressed.message, /set assertionAudience to the issuer/);
    const named = { tokenEndpoint, ...client, assertionAudience: publicIssuer };
    const token = await manageHere(t, named).getToken();
    assert.equal(claimsOf(token).iss, publicIssuer);
  });
});
