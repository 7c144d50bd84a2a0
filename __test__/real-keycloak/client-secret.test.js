/**
 * `client_secret_post` and `client_secret_basic` against a real Keycloak: its answers, and the
 * sources of the secret.
 */
'use strict';

const assert = require('node:assert/strict');
const { mkdtemp, rm, writeFile } = require('node:fs/promises');
const { tmpdir } = require('node:os');
const path = require('node:path');
const { test } = require('node:test');

const { rejection } = require('../support/manager');
const { optionsFor } = require('./support/differences');
const {
  claimsOf,
  createClient,
  describeWithKeycloak,
  manage,
  secretOf,
} = require('./support/keycloak');

const SPIFFE_ID = 'spiffe://example.org/ns/team1/sa/agent';
const METHODS = ['client_secret_post', 'client_secret_basic'];
/** `access.token.lifespan` of kagenti-api. */
const LIFESPAN_S = 60;
/** Of the realm. */
const REALM_LIFESPAN_S = 300;
/** `SSO Session Max`, which no token outlives. */
const SESSION_S = 10 * 60 * 60;

/** Unusual answers: client, form, lifespan, and whether an answer of the server is such. */
const ANSWERS = [
  [
    'a token type in lower case',
    'lower-case',
    {},
    REALM_LIFESPAN_S,
    (a) => a.token_type === 'bearer',
  ],
  ['a refresh token', 'with-refresh-token', {}, REALM_LIFESPAN_S, (a) => a.refresh_expires_in > 0],
  ['an ID token', 'kagenti-api', { scope: 'openid' }, LIFESPAN_S, (a) => a.id_token !== undefined],
  [
    'a lightweight token',
    'lightweight',
    {},
    REALM_LIFESPAN_S,
    (answer) => claimsOf(answer.access_token).realm_access === undefined,
  ],
  [
    'a lifespan cut to that of a session',
    'long-lived',
    {},
    SESSION_S,
    ({ expires_in: seconds }) => seconds <= SESSION_S && seconds > SESSION_S - 5,
  ],
  [
    'fields that the server ignores',
    'kagenti-api',
    { audience: 'account', resource: 'https://api.example' },
    LIFESPAN_S,
    (answer) => claimsOf(answer.access_token).aud === undefined,
  ],
];

/** Spellings of the token endpoint's URL that Keycloak accepts. */
const SPELLINGS = [
  ['a slash at the end', ({ tokenEndpoint }) => `${tokenEndpoint}/`],
  ['a query', ({ tokenEndpoint }) => `${tokenEndpoint}?a=b`],
  ['another host name', ({ tokenEndpoint }) => tokenEndpoint.replace('127.0.0.1', 'localhost')],
];

describeWithKeycloak('client secrets against a real Keycloak', {}, (keycloak) => {
  const manageHere = (t, options) =>
    manage(t, { tokenEndpoint: keycloak.tokenEndpoint, ...options });

  /** The server's answer. */
  async function answerTo(form) {
    const body = new URLSearchParams({ grant_type: 'client_credentials', ...form });
    const response = await fetch(keycloak.tokenEndpoint, { method: 'POST', body });
    assert.equal(response.status, 200);
    return response.json();
  }

  async function secretFile(t, text) {
    const folder = await mkdtemp(path.join(tmpdir(), 'client-secret-'));
    t.after(() => rm(folder, { recursive: true }));
    const file = path.join(folder, 'secret');
    await writeFile(file, text);
    return file;
  }

  for (const clientId of ['unicode', 'zürich-✓', SPIFFE_ID]) {
    for (const clientAuthentication of METHODS) {
      test(`${clientAuthentication} gives ${clientId} a token`, async (t) => {
        const clientSecret = secretOf(clientId);
        const manager = manageHere(t, { clientId, clientSecret, clientAuthentication });
        const claims = claimsOf(await manager.getToken());
        assert.equal(claims.azp, clientId);
        assert.equal(claims.iss, keycloak.realmUrl);
      });
    }
  }

  test('a client pinned to the header gets a token through it', async (t) => {
    const clientId = 'basic-only';
    const manager = manageHere(t, {
      clientId,
      clientSecret: secretOf(clientId),
      clientAuthentication: 'client_secret_basic',
    });
    assert.equal(claimsOf(await manager.getToken()).azp, clientId);
  });

  test('the times of an access token agree with those in the JWT', async (t) => {
    const clientId = 'kagenti-api';
    const manager = manageHere(t, { clientId, clientSecret: secretOf(clientId) });
    const before = Date.now();
    const { token, tokenType, scope, issuedAt, expiresAt } = await manager.getAccessToken();
    const after = Date.now();
    const { exp, iat, scope: grantedScope } = claimsOf(token);
    assert.equal(tokenType, 'Bearer');
    assert.equal(scope, grantedScope);
    // The JWT has whole seconds, rounded down.
    assert.ok(before <= issuedAt && issuedAt <= after, `${before} ${issuedAt} ${after}`);
    assert.ok(issuedAt < (iat + 1) * 1000, `${issuedAt} is after iat ${iat}`);
    assert.equal(exp - iat, LIFESPAN_S);
    assert.ok(expiresAt <= exp * 1000, `${expiresAt} is after exp ${exp}`);
    // The server's expires_in is a second short if its clock ticks between two reads.
    const life = expiresAt - issuedAt;
    const whole = (LIFESPAN_S - 1) * 1000;
    assert.ok(life === whole || life === whole - 1000, `${life} ms of life`);
  });

  test('a requested optional scope is granted', async (t) => {
    const clientId = 'kagenti-api';
    const clientSecret = secretOf(clientId);
    const scope = ['address', 'phone'];
    const granted = await manageHere(t, { clientId, clientSecret, scope }).getAccessToken();
    for (const name of scope) {
      assert.ok(granted.scope.split(' ').includes(name), granted.scope);
      assert.ok(claimsOf(granted.token).scope.split(' ').includes(name));
    }
  });

  for (const [what, clientId, form, lifespan, isMeant] of ANSWERS) {
    test(`an answer with ${what} gives a token`, optionsFor(what), async (t) => {
      const clientSecret = secretOf(clientId);
      assert.ok(
        isMeant(await answerTo({ client_id: clientId, client_secret: clientSecret, ...form })),
      );
      const { scope, ...parameters } = form;
      const manager = manageHere(t, { clientId, clientSecret, scope, parameters });
      const { token, tokenType, issuedAt, expiresAt } = await manager.getAccessToken();
      const { azp, exp, iat } = claimsOf(token);
      assert.equal(azp, clientId);
      assert.equal(tokenType, 'Bearer');
      assert.equal(exp - iat, lifespan);
      const life = (expiresAt - issuedAt) / 1000;
      assert.ok(life <= lifespan - 1 && life >= lifespan - 2, `${life} s of ${lifespan} s`);
      assert.equal(await manager.getToken(), token);
    });
  }

  for (const [what, endpoint] of SPELLINGS) {
    test(`a URL with ${what} gives a token`, async (t) => {
      const tokenEndpoint = endpoint(keycloak);
      const clientId = 'kagenti-api';
      const manager = manageHere(t, { tokenEndpoint, clientId, clientSecret: secretOf(clientId) });
      const { iss } = claimsOf(await manager.getToken());
      assert.equal(iss, `${new URL(tokenEndpoint).origin}/realms/kagenti`);
    });
  }

  test('a secret that rotates between two calls of its function costs one more request', async (t) => {
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

  test('a secret rotated in its file is used by the next acquisition', async (t) => {
    const { clientId, secret, rotateSecret } = await createClient(keycloak);
    const clientSecretFile = await secretFile(t, `${secret}\n`);
    const manager = manageHere(t, { clientId, clientSecretFile });
    const first = await manager.getToken();
    await writeFile(clientSecretFile, await rotateSecret());
    const second = await manager.getToken({ forceRefresh: true });
    assert.notEqual(second, first);
    assert.equal(claimsOf(second).azp, clientId);
    assert.equal(manager.snapshot().counters.retries, 0);
    await rotateSecret();
    await rejection(manager.getToken({ forceRefresh: true }), 'ERR_KEYCLOAK_OAUTH');
    assert.equal(await manager.getToken(), second, 'the held token stays');
  });
});
