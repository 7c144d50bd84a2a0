/**
 * Clients of a real Keycloak that prove themselves with a signature, with their own key or with the
 * secret; what it refuses of that; and a realm that is found by its issuer.
 */
'use strict';

const assert = require('node:assert/strict');
const { test } = require('node:test');
const { inspect } = require('node:util');

const { KeycloakTokenError, KeycloakTokenManager } = require('../..');
const { clientOf, makeKey } = require('./support/client-keys');
const { differenceOf, optionsFor } = require('./support/differences');
const { claimsOf, createClient, createRealm, describeWithKeycloak } = require('./support/keycloak');

const ALGORITHMS = ['RS256', 'PS256', 'ES256', 'EdDSA'];
/** PS256 is the only one that a key does not imply. */
const algorithmOption = (algorithm) =>
  algorithm === 'PS256' ? { signingAlgorithm: algorithm } : {};

/** How a private key is given, and whether the server knows it by a name. */
const FORMS = [
  { form: 'PEM', options: ({ pem }) => ({ privateKey: pem }) },
  {
    form: 'PEM and keyId',
    kid: 'a-key',
    options: ({ pem }) => ({ privateKey: pem, keyId: 'a-key' }),
  },
  { form: 'a JWK', options: ({ jwk }) => ({ privateKey: jwk }) },
  { form: 'a JWK with kid', kid: 'a-key', options: ({ jwk }) => ({ privateKey: jwk }) },
];

/** A client signs with ES256 and a key named `a-key`, but for what a row changes. */
const REFUSALS = [
  {
    what: 'another key than the client’s',
    options: () => ({ privateKey: makeKey('ES256').pem, keyId: 'a-key' }),
    description: /Client authentication with signed JWT failed/,
    advice: /register the key|the key is wrong/,
  },
  {
    what: 'a kid that the client does not have',
    options: ({ pem }) => ({ privateKey: pem, keyId: 'another' }),
    description: /Unable to load public key/,
    advice: /register the key, or set keyId to its kid/,
  },
  {
    what: 'an assertion for somebody else',
    options: ({ jwk }) => ({ privateKey: jwk, assertionAudience: 'https://other.example' }),
    description: /[Ii]nvalid token audience|Token audience doesn't match/,
    advice: /set assertionAudience to the issuer/,
  },
  {
    what: 'another algorithm than the client’s',
    attributes: { 'token.endpoint.auth.signing.alg': 'RS256' },
    options: ({ jwk }) => ({ privateKey: jwk }),
    description: /[Ii]nvalid signature algorithm/,
    advice: /set signingAlgorithm/,
  },
];

describeWithKeycloak('signed assertions against a real Keycloak', {}, (keycloak) => {
  function manage(t, options) {
    const { issuer, tokenEndpoint = issuer ? undefined : keycloak.tokenEndpoint } = options;
    const manager = new KeycloakTokenManager({ ...options, tokenEndpoint });
    t.after(() => manager.close());
    return manager;
  }

  /** Makes sure that it is not a cached token that proves anything. */
  async function assertGiven(manager, clientId) {
    for (const forceRefresh of [false, true]) {
      assert.equal(claimsOf(await manager.getToken({ forceRefresh })).azp, clientId);
    }
  }

  async function failureOf(manager) {
    const error = await manager.getToken().then(
      () => assert.fail('a token was given'),
      (reason) => reason,
    );
    assert.ok(error instanceof KeycloakTokenError, inspect(error));
    return error;
  }

  for (const algorithm of ALGORITHMS) {
    for (const { form, kid, options } of FORMS) {
      test(`${algorithm} as ${form} proves a client`, optionsFor(algorithm), async (t) => {
        const key = makeKey(algorithm, kid);
        const { clientId } = await createClient(keycloak, clientOf(algorithm, key));
        const given = { ...options(key), ...algorithmOption(algorithm) };
        await assertGiven(manage(t, { clientId, ...given }), clientId);
      });
    }
  }

  for (const algorithm of ['HS256', 'HS512']) {
    test(`${algorithm} with its secret proves a client`, async (t) => {
      const { clientId, secret } = await createClient(keycloak, {
        secret: 'a-secret-that-is-long-enough-for-all-of-the-algorithms-of-hmac-there-are',
        clientAuthenticatorType: 'client-secret-jwt',
        attributes: { 'token.endpoint.auth.signing.alg': algorithm },
      });
      const manager = manage(t, {
        clientId,
        clientSecret: secret,
        signingAlgorithm: algorithm,
        clientAuthentication: 'client_secret_jwt',
      });
      await assertGiven(manager, clientId);
    });
  }

  test('a client that is pinned to the header is served by it', async (t) => {
    const { clientId, secret } = await createClient(keycloak, {
      attributes: { 'client.secret.authentication.allowed.method': 'client_secret_basic' },
    });
    const manager = manage(t, {
      clientId,
      clientSecret: secret,
      clientAuthentication: 'client_secret_basic',
    });
    await assertGiven(manager, clientId);
  });

  test('a wrong secret that signs is refused and not shown', async (t) => {
    const { clientId } = await createClient(keycloak, {
      clientAuthenticatorType: 'client-secret-jwt',
    });
    const clientSecret = 'canary-of-a-wrong-secret-that-is-long-enough';
    const manager = manage(t, {
      clientId,
      clientSecret,
      clientAuthentication: 'client_secret_jwt',
    });
    const error = await failureOf(manager);
    assert.equal(error.code, 'ERR_KEYCLOAK_OAUTH');
    assert.match(error.message, /the secret/);
    assert.doesNotMatch(inspect(error), /canary/);
  });

  for (const row of REFUSALS) {
    const { what, attributes, options } = row;
    test(`${what} is refused, and what to do is said`, optionsFor(what), async (t) => {
      const key = makeKey('ES256', 'a-key');
      const { clientId } = await createClient(keycloak, clientOf('ES256', key, attributes));
      const error = await failureOf(manage(t, { clientId, ...options(key) }));
      const { description, advice, status = 400 } = { ...row, ...differenceOf(what).expected };
      assert.equal(error.code, 'ERR_KEYCLOAK_OAUTH', error.message);
      assert.equal(error.status, status);
      assert.equal(error.oauthError, 'invalid_client');
      assert.match(error.oauthErrorDescription, description);
      assert.match(error.message, advice);
      assert.deepEqual([error.retryable, error.attempts], [false, 1]);
      assert.doesNotMatch(inspect(error), /BEGIN|eyJ/);
    });
  }

  test('an issuer is all that is needed, with a secret and with a key', async (t) => {
    const { clientId, secret } = await createClient(keycloak);
    const issuer = keycloak.realmUrl;
    await assertGiven(manage(t, { issuer, clientId, clientSecret: secret }), clientId);
    await assertGiven(
      manage(t, { issuer: `${issuer}/`, clientId, clientSecret: secret }),
      clientId,
    );
    const key = makeKey('ES256');
    const other = await createClient(keycloak, clientOf('ES256', key));
    const manager = manage(t, { issuer, clientId: other.clientId, privateKey: key.pem });
    await assertGiven(manager, other.clientId);
  });

  test('an issuer whose realm is not there is told of', async (t) => {
    const issuer = keycloak.realmUrl.replace('kagenti', 'nowhere');
    const error = await failureOf(manage(t, { issuer, clientId: 'a', clientSecret: 'b' }));
    assert.deepEqual([error.code, error.status], ['ERR_KEYCLOAK_HTTP', 404]);
    assert.match(error.message, /discovery failed.*the realm in the URL.*check issuer/);
  });

  test('an issuer with a double slash is told of', optionsFor('a double slash'), async (t) => {
    const issuer = keycloak.realmUrl.replace('/realms', '//realms');
    const error = await failureOf(manage(t, { issuer, clientId: 'a', clientSecret: 'b' }));
    assert.equal(error.status, 400);
    assert.match(error.message, /double slash, .* correct issuer/);
  });

  test('an issuer of another public name is told of, with both names', async (t) => {
    const publicUrl = 'https://sso.public.example';
    const realm = await createRealm(t, keycloak, { attributes: { frontendUrl: publicUrl } });
    const publicIssuer = `${publicUrl}/realms/${realm.name}`;
    const key = makeKey('ES256');
    const { clientId } = await createClient(keycloak, {
      ...clientOf('ES256', key),
      realm: realm.name,
    });
    const client = { clientId, privateKey: key.pem };
    const error = await failureOf(manage(t, { issuer: realm.realmUrl, ...client }));
    assert.equal(error.code, 'ERR_KEYCLOAK_PROTOCOL');
    for (const part of [`"${publicIssuer}"`, `"${realm.realmUrl}"`, 'set issuer to it']) {
      assert.ok(error.message.includes(part), error.message);
    }

    const { tokenEndpoint } = realm;
    const misaddressed = await failureOf(manage(t, { tokenEndpoint, ...client }));
    assert.match(misaddressed.message, /set assertionAudience to the issuer/);
    const named = { tokenEndpoint, ...client, assertionAudience: publicIssuer };
    const token = await manage(t, named).getToken();
    assert.equal(claimsOf(token).iss, publicIssuer);
  });
});
