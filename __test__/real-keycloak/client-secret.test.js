/**
 * `client_secret_post` and `client_secret_basic` against a real Keycloak: what it grants, what it
 * refuses and how that is told, and secrets that change while the manager runs.
 */
'use strict';

const assert = require('node:assert/strict');
const { mkdtemp, rm, writeFile } = require('node:fs/promises');
const { tmpdir } = require('node:os');
const path = require('node:path');
const { test } = require('node:test');
const { setInterval: ticks } = require('node:timers/promises');
const { inspect } = require('node:util');

const { KeycloakTokenError, KeycloakTokenManager } = require('../..');
const { claimsOf, createClient, describeWithKeycloak, secretOf } = require('./support/keycloak');

const SPIFFE_ID = 'spiffe://example.org/ns/team1/sa/agent';
const METHODS = ['client_secret_post', 'client_secret_basic'];
const GENERIC = 'Invalid client or Invalid client credentials';
/** `access.token.lifespan` of kagenti-api. */
const LIFESPAN_S = 60;
const WRONG_SECRET = 'canary-of-a-wrong-secret';

/** Refusals of the grant: what is wrong, and the words a reader needs to put it right. */
const OAUTH_REFUSALS = [
  {
    what: 'a wrong secret',
    options: { clientId: 'kagenti-api', clientSecret: WRONG_SECRET },
    status: 401,
    oauthError: 'unauthorized_client',
    description: GENERIC,
    advice: /secret of client "kagenti-api" is wrong/,
  },
  {
    what: 'a wrong secret in the header',
    options: {
      clientId: 'kagenti-api',
      clientSecret: WRONG_SECRET,
      clientAuthentication: 'client_secret_basic',
    },
    status: 401,
    oauthError: 'unauthorized_client',
    description: GENERIC,
    advice: /secret of client "kagenti-api" is wrong/,
  },
  {
    what: 'an unknown client',
    options: { clientId: 'nobody', clientSecret: WRONG_SECRET },
    status: 401,
    oauthError: 'invalid_client',
    description: GENERIC,
    advice: /client "nobody" is unknown/,
  },
  {
    what: 'a client whose service account is off',
    options: { clientId: 'no-sa', clientSecret: secretOf('no-sa') },
    status: 401,
    oauthError: 'unauthorized_client',
    description: 'Client not enabled to retrieve service account',
    advice: /service account of client "no-sa" is off/,
  },
  {
    what: 'a disabled client',
    options: { clientId: 'disabled', clientSecret: secretOf('disabled') },
    status: 401,
    oauthError: 'invalid_client',
    description: GENERIC,
    advice: /client "disabled" is unknown or disabled/,
  },
  {
    what: 'a public client',
    options: { clientId: 'public', clientSecret: WRONG_SECRET },
    status: 401,
    oauthError: 'unauthorized_client',
    description: 'Public client not allowed to retrieve service account',
    advice: /client "public" is public/,
  },
  {
    what: 'a bearer-only client',
    options: { clientId: 'bearer-only', clientSecret: secretOf('bearer-only') },
    status: 400,
    oauthError: 'invalid_client',
    description: 'Bearer-only not allowed',
    advice: /client "bearer-only" is bearer-only/,
  },
  {
    what: 'an unknown scope',
    options: {
      clientId: 'kagenti-api',
      clientSecret: secretOf('kagenti-api'),
      scope: 'no-such-scope',
    },
    status: 400,
    oauthError: 'invalid_scope',
    description: 'Invalid scopes: no-such-scope',
    advice: /scope .* not assigned to client "kagenti-api"/,
  },
  {
    what: 'a posted secret where only the header is allowed',
    options: { clientId: 'basic-only', clientSecret: secretOf('basic-only') },
    status: 401,
    oauthError: 'unauthorized_client',
    description:
      'Invalid method used to get client secret. Client requires method ' +
      "'client_secret_basic' to obtain client secret from the request",
    advice: /client "basic-only" .* clientAuthentication/,
  },
  {
    what: 'a client that wants DPoP proofs',
    options: { clientId: 'dpop', clientSecret: secretOf('dpop') },
    status: 400,
    oauthError: 'invalid_request',
    description: 'DPoP proof is missing',
    advice: /client "dpop" wants DPoP/,
  },
  {
    what: 'a disabled realm',
    options: { clientId: 'kagenti-api', clientSecret: secretOf('kagenti-api') },
    endpoint: (keycloak) => keycloak.tokenEndpoint.replace('/kagenti/', '/disabled/'),
    status: 403,
    oauthError: 'access_denied',
    description: 'Realm not enabled',
    advice: /realm is disabled/,
  },
];

/** Answers that say nothing about the grant: the URL is wrong. */
const HTTP_FAILURES = [
  {
    what: 'a missing realm',
    endpoint: (keycloak) => keycloak.tokenEndpoint.replace('/kagenti/', '/no-such-realm/'),
    status: 404,
    oauthError: 'Realm does not exist',
    advice: /realm .* does not exist/,
  },
  {
    what: 'a wrong path in the realm',
    endpoint: (keycloak) => `${keycloak.realmUrl}/protocol/openid-connect/tokens`,
    status: 405,
    oauthError: 'HTTP 405 Method Not Allowed',
    advice: /not a token endpoint/,
  },
];

describeWithKeycloak('client secrets against a real Keycloak', (keycloak) => {
  function manage(t, options) {
    const manager = new KeycloakTokenManager({ tokenEndpoint: keycloak.tokenEndpoint, ...options });
    t.after(() => manager.close());
    return manager;
  }

  async function secretFile(t, text) {
    const folder = await mkdtemp(path.join(tmpdir(), 'client-secret-'));
    t.after(() => rm(folder, { recursive: true }));
    const file = path.join(folder, 'secret');
    await writeFile(file, text);
    return file;
  }

  async function failureOf(t, options) {
    const error = await manage(t, options)
      .getToken()
      .then(
        () => assert.fail('a token was given'),
        (reason) => reason,
      );
    assert.ok(error instanceof KeycloakTokenError, inspect(error));
    return error;
  }

  function assertTells(error, { status, oauthError, advice }, { clientId, clientSecret }) {
    assert.equal(error.status, status);
    assert.equal(error.oauthError, oauthError);
    assert.equal(error.retryable, false);
    assert.equal(error.attempts, 1);
    assert.equal(error.clientId, clientId);
    assert.ok(error.message.includes(`status ${status} ${oauthError}`), error.message);
    assert.match(error.message, advice);
    for (const text of [inspect(error), String(error), error.stack, JSON.stringify(error)]) {
      assert.ok(!text.includes(clientSecret), 'the secret is not shown');
    }
  }

  for (const clientId of ['kagenti-api', 'unicode', SPIFFE_ID]) {
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

  for (const { what, options, endpoint, description, ...expected } of OAUTH_REFUSALS) {
    test(`${what} is an OAuth refusal that says what to do`, async (t) => {
      const tokenEndpoint = endpoint?.(keycloak) ?? keycloak.tokenEndpoint;
      const error = await failureOf(t, { ...options, tokenEndpoint });
      assert.equal(error.code, 'ERR_KEYCLOAK_OAUTH');
      assert.equal(error.oauthErrorDescription, description);
      assert.equal(error.tokenEndpoint, tokenEndpoint);
      assertTells(error, expected, options);
    });
  }

  for (const { what, endpoint, ...expected } of HTTP_FAILURES) {
    test(`${what} is an HTTP error that says what to do`, async (t) => {
      const options = { clientId: 'kagenti-api', clientSecret: secretOf('kagenti-api') };
      const tokenEndpoint = endpoint(keycloak);
      const error = await failureOf(t, { ...options, tokenEndpoint });
      assert.equal(error.code, 'ERR_KEYCLOAK_HTTP');
      assert.equal(error.tokenEndpoint, tokenEndpoint);
      assertTells(error, expected, options);
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

  test('tokens of three seconds are replaced in the background while nobody waits', async (t) => {
    const clientId = 'short';
    const manager = manage(t, { clientId, clientSecret: secretOf(clientId) });
    const seen = new Set();
    let calls = 0;
    const end = Date.now() + 8000;
    for await (const _ of ticks(20)) {
      const token = await manager.getToken();
      assert.ok(Date.now() < claimsOf(token).exp * 1000, 'the token is alive when it is given');
      seen.add(token);
      calls += 1;
      if (Date.now() > end) break;
    }
    assert.ok(seen.size >= 4, `${seen.size} tokens`);
    const { counters, lastFailure } = manager.snapshot();
    assert.equal(lastFailure, undefined);
    assert.equal(counters.hits, calls - 1, 'only the first call waited');
  });
});
