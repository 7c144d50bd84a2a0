/**
 * `client_secret_post` and `client_secret_basic` against a real Keycloak: what it grants, and where
 * the secret comes from.
 */
'use strict';

const assert = require('node:assert/strict');
const { mkdtemp, rm, writeFile } = require('node:fs/promises');
const { tmpdir } = require('node:os');
const path = require('node:path');
const { test } = require('node:test');

const { KeycloakTokenManager } = require('../..');
const { optionsFor } = require('./support/differences');
const { claimsOf, createClient, describeWithKeycloak, secretOf } = require('./support/keycloak');

const SPIFFE_ID = 'spiffe://example.org/ns/team1/sa/agent';
const METHODS = ['client_secret_post', 'client_secret_basic'];
/** `access.token.lifespan` of kagenti-api. */
const LIFESPAN_S = 60;
/** Of the realm. */
const REALM_LIFESPAN_S = 300;
/** `SSO Session Max`, which no token outlives. */
const SESSION_S = 10 * 60 * 60;

/** Answers out of the ordinary; `isMeant` says of one, as the server sent it, that it is such. */
const ANSWERS = [
  {
    what: 'a token type in lower case',
    clientId: 'lower-case',
    lifespan: REALM_LIFESPAN_S,
    isMeant: (answer) => answer.token_type === 'bearer',
  },
  {
    what: 'a refresh token beside it',
    clientId: 'with-refresh-token',
    lifespan: REALM_LIFESPAN_S,
    isMeant: (answer) => answer.refresh_token !== undefined && answer.refresh_expires_in > 0,
  },
  {
    what: 'an ID token beside it',
    clientId: 'kagenti-api',
    form: { scope: 'openid' },
    lifespan: LIFESPAN_S,
    isMeant: (answer) => answer.id_token !== undefined,
  },
  {
    what: 'a lightweight token',
    clientId: 'lightweight',
    lifespan: REALM_LIFESPAN_S,
    isMeant: (answer) => claimsOf(answer.access_token).realm_access === undefined,
  },
  {
    what: 'a lifespan cut to that of a session',
    clientId: 'long-lived',
    lifespan: SESSION_S,
    isMeant: ({ expires_in: seconds }) => seconds <= SESSION_S && seconds > SESSION_S - 5,
  },
  {
    what: 'fields that the server passes over',
    clientId: 'kagenti-api',
    form: { audience: 'account', resource: 'https://api.example' },
    lifespan: LIFESPAN_S,
    isMeant: (answer) => claimsOf(answer.access_token).aud === undefined,
  },
];

/** Spellings of the token endpoint's URL that Keycloak takes. */
const SPELLINGS = [
  { what: 'a slash at the end', endpoint: ({ tokenEndpoint }) => `${tokenEndpoint}/` },
  { what: 'a query', endpoint: ({ tokenEndpoint }) => `${tokenEndpoint}?a=b` },
  {
    what: 'another name of the host',
    endpoint: ({ tokenEndpoint }) => tokenEndpoint.replace('127.0.0.1', 'localhost'),
  },
];

describeWithKeycloak('client secrets against a real Keycloak', {}, (keycloak) => {
  function manage(t, options) {
    const manager = new KeycloakTokenManager({ tokenEndpoint: keycloak.tokenEndpoint, ...options });
    t.after(() => manager.close());
    return manager;
  }

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

  for (const clientId of ['kagenti-api', 'unicode', 'zürich-✓', SPIFFE_ID]) {
    for (const clientAuthentication of METHODS) {
      test(`${clientAuthentication} gives ${clientId} a token`, async (t) => {
        const clientSecret = secretOf(clientId);
        const manager = manage(t, { clientId, clientSecret, clientAuthentication });
        const claims = claimsOf(await manager.getToken());
        assert.equal(claims.azp, clientId);
        assert.equal(claims.iss, keycloak.realmUrl);
      });
    }
  }

  test('a client pinned to the header gets a token through it', async (t) => {
    const clientId = 'basic-only';
    const manager = manage(t, {
      clientId,
      clientSecret: secretOf(clientId),
      clientAuthentication: 'client_secret_basic',
    });
    assert.equal(claimsOf(await manager.getToken()).azp, clientId);
  });

  test('the times of an access token agree with those in the JWT', async (t) => {
    const clientId = 'kagenti-api';
    const manager = manage(t, { clientId, clientSecret: secretOf(clientId) });
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

  test('an optional scope that is asked for is granted', async (t) => {
    const clientId = 'kagenti-api';
    const clientSecret = secretOf(clientId);
    const scope = ['address', 'phone'];
    const granted = await manage(t, { clientId, clientSecret, scope }).getAccessToken();
    for (const name of scope) {
      assert.ok(granted.scope.split(' ').includes(name), granted.scope);
      assert.ok(claimsOf(granted.token).scope.split(' ').includes(name));
    }
  });

  for (const { what, clientId, form = {}, lifespan, isMeant } of ANSWERS) {
    test(`a token comes of an answer with ${what}`, optionsFor(what), async (t) => {
      const clientSecret = secretOf(clientId);
      assert.ok(
        isMeant(await answerTo({ client_id: clientId, client_secret: clientSecret, ...form })),
      );
      const { scope, ...parameters } = form;
      const manager = manage(t, { clientId, clientSecret, scope, parameters });
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

  for (const { what, endpoint } of SPELLINGS) {
    test(`a URL with ${what} gives a token of the issuer of that name`, async (t) => {
      const tokenEndpoint = endpoint(keycloak);
      const clientId = 'kagenti-api';
      const manager = manage(t, { tokenEndpoint, clientId, clientSecret: secretOf(clientId) });
      const { iss } = claimsOf(await manager.getToken());
      assert.equal(iss, `${new URL(tokenEndpoint).origin}/realms/kagenti`);
    });
  }

  test('a secret from a file gives a token', async (t) => {
    const clientId = 'unicode';
    const clientSecretFile = await secretFile(t, `${secretOf(clientId)}\n`);
    const manager = manage(t, { clientId, clientSecretFile });
    assert.equal(claimsOf(await manager.getToken()).azp, clientId);
  });

  test('a secret from an async function gives a token', async (t) => {
    const clientId = 'kagenti-api';
    const clientSecret = async () => secretOf(clientId);
    const manager = manage(t, { clientId, clientSecret });
    assert.equal(claimsOf(await manager.getToken()).azp, clientId);
  });

  test('a secret rotated between two asks of the function costs one more request', async (t) => {
    const { clientId, secret, rotateSecret } = await createClient(keycloak);
    const answers = [secret, secret];
    const manager = manage(t, { clientId, clientSecret: async () => answers.shift() });
    const first = await manager.getToken();
    answers.push(await rotateSecret());
    const second = await manager.getToken({ forceRefresh: true });
    assert.notEqual(second, first);
    assert.equal(claimsOf(second).azp, clientId);
    assert.equal(answers.length, 0, 'asked once per acquisition, and once after the refusal');
    const { acquisitions, retries } = manager.snapshot().counters;
    assert.deepEqual({ acquisitions, retries }, { acquisitions: 2, retries: 1 });
  });

  test('a secret rotated in its file is used by the next acquisition', async (t) => {
    const { clientId, secret, rotateSecret } = await createClient(keycloak);
    const clientSecretFile = await secretFile(t, secret);
    const manager = manage(t, { clientId, clientSecretFile });
    const first = await manager.getToken();
    await writeFile(clientSecretFile, await rotateSecret());
    const second = await manager.getToken({ forceRefresh: true });
    assert.notEqual(second, first);
    assert.equal(claimsOf(second).azp, clientId);
    assert.equal(manager.snapshot().counters.retries, 0);
  });

  test('a token that is still valid outlives a secret that is not', async (t) => {
    const { clientId, secret, rotateSecret } = await createClient(keycloak);
    const clientSecretFile = await secretFile(t, secret);
    const manager = manage(t, { clientId, clientSecretFile });
    const held = await manager.getToken();
    await rotateSecret();
    await assert.rejects(manager.getToken({ forceRefresh: true }), {
      code: 'ERR_KEYCLOAK_OAUTH',
      oauthError: 'unauthorized_client',
    });
    assert.equal(await manager.getToken(), held);
  });
});
