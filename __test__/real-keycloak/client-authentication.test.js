/**
 * Clients of a real Keycloak that authenticate with a secret or a signature, the server's answers
 * and refusals of signatures, and a realm that the manager finds by its issuer.
 */
'use strict';

const assert = require('node:assert/strict');
const { test } = require('node:test');
const { inspect } = require('node:util');

const { rejection } = require('../support/manager');
const { optionsFor } = require('./support/differences');
const {
  claimsOf,
  createClient,
  createRealm,
  describeWithKeycloak,
  manage,
  secretOf,
} = require('./support/keycloak');
const { CLIENT } = require('./support/refusals');

const SPIFFE_ID = 'spiffe://example.org/ns/team1/sa/agent';
const BASIC = 'client_secret_basic';
/** `access.token.lifespan` of kagenti-api, of the realm, and `SSO Session Max`. */
const [LIFESPAN_S, REALM_LIFESPAN_S, SESSION_S] = [60, 300, 10 * 60 * 60];
const LONG_SECRET = 'a-secret-that-is-long-enough-for-all-of-the-algorithms-of-hmac-there-are';

/**
 * Clients of the realm with unusual ids and secrets, and one that must send its secret in the
 * header.
 */
const SECRETS = [
  ...['unicode', 'zürich-✓', SPIFFE_ID].flatMap((id) => [
    [id, 'client_secret_post'],
    [id, BASIC],
  ]),
  ['basic-only', BASIC],
];

const signedWithSecret = (algorithm) => () => ({
  clientSecret: LONG_SECRET,
  clientAuthentication: 'client_secret_jwt',
  signingAlgorithm: algorithm,
});
/** The algorithm, the credential that signs, the key's kid, and the options. */
const SIGNATURES = [
  ['RS256', 'a key as PEM', undefined, ({ pem }) => ({ privateKey: pem })],
  [
    'PS256',
    'a key as PEM, and keyId',
    'a-key',
    // The key alone does not imply this algorithm.
    ({ pem }) => ({ privateKey: pem, keyId: 'a-key', signingAlgorithm: 'PS256' }),
  ],
  ['ES256', 'a key as a JWK', undefined, ({ jwk }) => ({ privateKey: jwk })],
  ['ES256', 'a key as a JWK with kid', 'a-key', ({ jwk }) => ({ privateKey: jwk })],
  ['EdDSA', 'a key as PEM', undefined, ({ pem }) => ({ privateKey: pem })],
  ['HS256', 'the secret', undefined, signedWithSecret('HS256')],
  ['HS512', 'the secret', undefined, signedWithSecret('HS512')],
];

/**
 * Refusals of a client that signs with ES256 and a key named `a-key`. Each row has the options, the
 * server's description, the advice and, if the server expects another algorithm, its name.
 */
const REFUSALS = {
  'an unknown key': [
    async () => ({ privateKey: (await makeKey('ES256')).pem, keyId: 'a-key' }),
    /Client authentication with signed JWT failed/,
    /register the key|the key is wrong/,
  ],
  'an unknown kid': [
    ({ pem }) => ({ privateKey: pem, keyId: 'another' }),
    /Unable to load public key/,
    /register the key, or set keyId to its kid/,
  ],
  'an assertion for another audience': [
    ({ jwk }) => ({ privateKey: jwk, assertionAudience: 'https://other.example' }),
    /[Ii]nvalid token audience|Token audience doesn't match/,
    /set assertionAudience to the issuer/,
  ],
  'an unexpected algorithm': [
    ({ jwk }) => ({ privateKey: jwk }),
    /[Ii]nvalid signature algorithm/,
    /set signingAlgorithm/,
    'RS256',
  ],
};

/** For each kind of answer: the client, the form, the lifespan, and a check of the answer. */
const ANSWERS = {
  'nothing unusual': ['kagenti-api', {}, LIFESPAN_S, (a) => a.token_type === 'Bearer'],
  'a token type in lower case': [
    'lower-case',
    {},
    REALM_LIFESPAN_S,
    (a) => a.token_type === 'bearer',
  ],
  'a refresh token': ['with-refresh-token', {}, REALM_LIFESPAN_S, (a) => a.refresh_expires_in > 0],
  'an ID token': ['kagenti-api', { scope: 'openid' }, LIFESPAN_S, (a) => a.id_token !== undefined],
  'optional scopes': [
    'kagenti-api',
    { scope: 'address phone' },
    LIFESPAN_S,
    (a) => /\baddress\b/.test(a.scope) && /\bphone\b/.test(a.scope),
  ],
  'a lightweight token': [
    'lightweight',
    {},
    REALM_LIFESPAN_S,
    (a) => claimsOf(a.access_token).realm_access === undefined,
  ],
  'a lifespan cut to that of a session': [
    'long-lived',
    {},
    SESSION_S,
    (a) => a.expires_in <= SESSION_S && a.expires_in > SESSION_S - 5,
  ],
  'no effect of ignored parameters': [
    'kagenti-api',
    { audience: 'account', resource: 'https://api.example' },
    LIFESPAN_S,
    (a) => claimsOf(a.access_token).aud === undefined,
  ],
};

/** Spellings of the URLs that Keycloak accepts. */
const SPELLINGS = {
  'a slash after the endpoint': (k) => ({ tokenEndpoint: `${k.tokenEndpoint}/` }),
  'a query': (k) => ({ tokenEndpoint: `${k.tokenEndpoint}?a=b` }),
  'another host name': (k) => ({
    tokenEndpoint: k.tokenEndpoint.replace('127.0.0.1', 'localhost'),
  }),
  'a slash after the issuer': (k) => ({ issuer: `${k.realmUrl}/` }),
};

/** For each wrong issuer: the difference from the right issuer, and the error. */
const ISSUERS = {
  'an unknown realm': [
    ['kagenti', 'nowhere'],
    'ERR_KEYCLOAK_HTTP',
    /discovery failed.*the realm in the URL.*check issuer/,
  ],
  'a double slash': [
    ['/realms', '//realms'],
    'ERR_KEYCLOAK_OAUTH',
    /double slash, .* correct issuer/,
  ],
};

/**
 * Makes a key for an algorithm: the private key as PEM and as a JWK, and the public key for a
 * server.
 */
async function makeKey(algorithm, kid) {
  const { exportJWK, exportPKCS8, generateKeyPair } = await import('jose');
  const { privateKey, publicKey } = await generateKeyPair(algorithm, { extractable: true });
  const named = kid === undefined ? {} : { kid };
  return {
    pem: await exportPKCS8(privateKey),
    jwk: { ...(await exportJWK(privateKey)), ...named },
    public: { ...(await exportJWK(publicKey)), alg: algorithm, use: 'sig', ...named },
  };
}

/** The representation of a client that signs with this key, or with its secret. */
function clientOf(algorithm, key) {
  const signing = { 'token.endpoint.auth.signing.alg': algorithm };
  if (key === undefined) {
    const secret = LONG_SECRET;
    return { secret, clientAuthenticatorType: 'client-secret-jwt', attributes: signing };
  }
  const jwks = JSON.stringify({ keys: [key.public] });
  return {
    clientAuthenticatorType: 'client-jwt',
    attributes: { 'use.jwks.string': 'true', 'jwks.string': jwks, ...signing },
  };
}

describeWithKeycloak('authentication at a real Keycloak', {}, (keycloak) => {
  const manageHere = (t, options) =>
    manage(t, { tokenEndpoint: keycloak.tokenEndpoint, ...options });

  const failureOf = (t, options, code = 'ERR_KEYCLOAK_OAUTH') =>
    rejection(manageHere(t, options).getToken(), code);

  /**
   * Gets two tokens with `issuer` and two with `tokenEndpoint`; the second token of each pair does
   * not come from the cache.
   */
  async function assertGiven(t, options) {
    const { realmUrl: issuer, tokenEndpoint } = keycloak;
    for (const place of [{ issuer }, { tokenEndpoint }]) {
      const manager = manage(t, { ...place, ...options });
      for (const forceRefresh of [false, true]) {
        const { azp, iss } = claimsOf(await manager.getToken({ forceRefresh }));
        assert.deepEqual([azp, iss], [options.clientId, issuer]);
      }
    }
  }

  for (const [clientId, clientAuthentication] of SECRETS) {
    test(`${clientAuthentication} authenticates ${clientId}`, async (t) => {
      await assertGiven(t, { clientId, clientSecret: secretOf(clientId), clientAuthentication });
    });
  }

  for (const [algorithm, what, kid, options] of SIGNATURES) {
    test(`${algorithm} with ${what} authenticates a client`, optionsFor(algorithm), async (t) => {
      const key = algorithm.startsWith('HS') ? undefined : await makeKey(algorithm, kid);
      const { clientId } = await createClient(keycloak, clientOf(algorithm, key));
      await assertGiven(t, { clientId, ...options(key) });
    });
  }

  for (const [what, [clientId, form, lifespan, isMeant]] of Object.entries(ANSWERS)) {
    test(`an answer with ${what} gives a token`, optionsFor(what), async (t) => {
      const clientSecret = secretOf(clientId);
      const client = { client_id: clientId, client_secret: clientSecret };
      const body = new URLSearchParams({ grant_type: 'client_credentials', ...client, ...form });
      const response = await fetch(keycloak.tokenEndpoint, { method: 'POST', body });
      const answer = await response.json();
      assert.ok(isMeant(answer));
      const { scope, ...parameters } = form;
      const manager = manageHere(t, { clientId, clientSecret, scope, parameters });
      const before = Date.now();
      const given = await manager.getAccessToken();
      const { token, issuedAt, expiresAt } = given;
      const { azp, exp, iat } = claimsOf(token);
      assert.deepEqual([azp, given.tokenType, given.scope], [clientId, 'Bearer', answer.scope]);
      assert.equal(exp - iat, lifespan);
      // The times in the JWT are whole seconds, rounded down.
      assert.ok(before <= issuedAt && issuedAt < (iat + 1) * 1000, `${issuedAt}, iat ${iat}`);
      assert.ok(expiresAt <= exp * 1000, `${expiresAt} is after exp ${exp}`);
      // The server's expires_in is a second too short if its clock ticks between two reads.
      const life = (expiresAt - issuedAt) / 1000;
      assert.ok(life <= lifespan - 1 && life >= lifespan - 2, `${life} s of ${lifespan} s`);
      assert.equal(await manager.getToken(), token);
    });
  }

  for (const [what, place] of Object.entries(SPELLINGS)) {
    test(`a URL with ${what} gives a token`, async (t) => {
      const options = { ...CLIENT, ...place(keycloak) };
      const { iss } = claimsOf(await manage(t, options).getToken());
      const { origin } = new URL(options.tokenEndpoint ?? options.issuer);
      assert.equal(iss, `${origin}/realms/kagenti`);
    });
  }

  test('a secret that rotates between two calls of its function causes one more request', async (t) => {
    const { clientId, secret, rotateSecret } = await createClient(keycloak);
    const answers = [secret, secret];
    const manager = manageHere(t, { clientId, clientSecret: async () => answers.shift() });
    const first = await manager.getToken();
    answers.push(await rotateSecret());
    const second = await manager.getToken({ forceRefresh: true });
    assert.notEqual(second, first);
    assert.equal(claimsOf(second).azp, clientId);
    assert.equal(answers.length, 0, 'called once per acquisition, and once after the refusal');
    const { acquisitions, retries } = manager.snapshot().counters;
    assert.deepEqual({ acquisitions, retries }, { acquisitions: 2, retries: 1 });
  });

  test('the error for a wrong signing secret does not show the secret', async (t) => {
    const { clientId } = await createClient(keycloak, clientOf('HS256'));
    const clientSecret = 'canary-of-a-wrong-secret-that-is-long-enough';
    const clientAuthentication = 'client_secret_jwt';
    const error = await failureOf(t, { clientId, clientSecret, clientAuthentication });
    assert.match(error.message, /the secret/);
    assert.doesNotMatch(inspect(error), /canary/);
  });

  for (const [what, [options, description, advice, expected]] of Object.entries(REFUSALS)) {
    test(`the refusal of ${what} has advice`, async (t) => {
      const key = await makeKey('ES256', 'a-key');
      const members = clientOf(expected ?? 'ES256', key);
      const { clientId } = await createClient(keycloak, members);
      const error = await failureOf(t, { clientId, ...(await options(key)) });
      assert.deepEqual([error.status, error.oauthError], [400, 'invalid_client']);
      assert.match(error.oauthErrorDescription, description);
      assert.match(error.message, advice);
      assert.deepEqual([error.retryable, error.attempts], [false, 1]);
      assert.doesNotMatch(inspect(error), /BEGIN|eyJ/);
    });
  }

  for (const [what, [change, code, message]] of Object.entries(ISSUERS)) {
    test(`the error for an issuer with ${what} has advice`, optionsFor(what), async (t) => {
      const issuer = keycloak.realmUrl.replace(...change);
      const error = await rejection(manage(t, { ...CLIENT, issuer }).getToken(), code);
      assert.match(error.message, message);
    });
  }

  test('the error for an issuer with another public name contains both names', async (t) => {
    const publicUrl = 'https://sso.public.example';
    const realm = await createRealm(t, keycloak, { attributes: { frontendUrl: publicUrl } });
    const publicIssuer = `${publicUrl}/realms/${realm.name}`;
    const key = await makeKey('ES256');
    const members = { ...clientOf('ES256', key), realm: realm.name };
    const { clientId } = await createClient(keycloak, members);
    const client = { clientId, privateKey: key.pem };
    const manager = manage(t, { issuer: realm.realmUrl, ...client });
    const error = await rejection(manager.getToken(), 'ERR_KEYCLOAK_PROTOCOL');
    for (const part of [`set issuer to "${publicIssuer}"`, `"${realm.realmUrl}"`]) {
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
