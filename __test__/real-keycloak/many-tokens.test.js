/**
 * Many tokens for one client of a real Keycloak: scopes and audiences, token exchange, the JWT
 * authorization grant and revocation, each with the server's refusals.
 */
'use strict';

const assert = require('node:assert/strict');
const { generateKeyPairSync, randomUUID, sign } = require('node:crypto');
const fs = require('node:fs');
const path = require('node:path');
const { before, describe, test } = require('node:test');

const { delay, rejection } = require('../support/manager.js');
const { optionsFor } = require('./support/differences');
const { claimsOf, describeWithKeycloak, manage, secretOf } = require('./support/keycloak');
const { SECRET, realmWithUsers, user } = require('./support/users');

const audienceOf = (token) => [claimsOf(token).aud ?? []].flat().sort();

/** Checks a refused request's error, and that the message does not contain the subject. */
async function refused(call, [status, oauthError, description, advice], subject) {
  const error = await rejection(call, 'ERR_KEYCLOAK_OAUTH');
  assert.deepEqual([error.status, error.oauthError], [status, oauthError]);
  assert.match(error.oauthErrorDescription, description);
  assert.match(error.message, advice);
  if (subject !== undefined) assert.ok(!error.message.includes(subject));
}

describeWithKeycloak('many tokens', {}, (keycloak) => {
  const realm = realmWithUsers(keycloak);

  /** Creates a manager whose logger appends the log lines to `lines`. */
  function managerOf(t, clientId, options) {
    const lines = [];
    const log = (line) => lines.push(line);
    const logger = { error: log, warn: log, info: log, debug: () => {} };
    const { tokenEndpoint } = realm;
    const own = { tokenEndpoint, clientId, clientSecret: SECRET, logger };
    return Object.assign(manage(t, { ...own, ...options }), { lines });
  }

  describe('for', () => {
    for (const [name, request, audience, warning] of [
      ['nothing', {}, []],
      ['one scope', { scope: 'aud-api1' }, ['api1']],
      ['scopes in any order', { scope: ['aud-api2', 'aud-api1'] }, ['api1', 'api2']],
      ['an audience that is a URL', { scope: 'aud-url' }, ['https://api.example.com']],
      [
        'an audience that Keycloak ignores',
        { audience: 'api1' },
        [],
        /aud lacks the requested audience "api1"/,
      ],
      ['a resource that Keycloak ignores', { requestedResource: 'https://a.example' }, []],
    ]) {
      test(`${name}: the token has these audiences`, async (t) => {
        const manager = managerOf(t, 'many');
        assert.deepEqual(audienceOf(await manager.for(request).getToken()), audience);
        const lines = manager.lines.join('\n');
        if (warning === undefined) assert.equal(lines, '');
        else assert.match(lines, warning);
      });
    }

    for (const [name, request, ...refusal] of [
      ['an unknown scope', { scope: 'nope' }, 400, 'invalid_scope', /nope/, /scope/],
      [
        'two audiences',
        { audience: ['api1', 'api2'] },
        400,
        'invalid_request',
        /duplicated parameter/,
        /only one audience/,
      ],
    ]) {
      test(`${name}: the refusal affects only this request`, async (t) => {
        const manager = managerOf(t, 'many');
        await refused(manager.for(request).getToken(), refusal);
        assert.deepEqual(audienceOf(await manager.for({ scope: 'aud-api1' }).getToken()), ['api1']);
      });
    }
  });

  describe('onBehalfOf', optionsFor('a server without token exchange'), () => {
    for (const [name, request, audience] of [
      ['without a request', undefined, []],
      ['with a scope', { scope: 'aud-api1' }, ['api1']],
      ['with an audience', { scope: 'aud-api1 aud-api2', audience: 'api1' }, ['api1']],
      [
        'with two audiences',
        { scope: 'aud-api1 aud-api2', audience: ['api2', 'api1'] },
        ['api1', 'api2'],
      ],
    ]) {
      test(`${name}: returns the user's token for this client`, async (t) => {
        const manager = managerOf(t, 'requester');
        const subject = (await realm.signIn('alice')).access_token;
        const token = await manager.onBehalfOf(subject, request).getToken();
        const { azp, sub } = claimsOf(token);
        assert.deepEqual([azp, sub], ['requester', claimsOf(subject).sub]);
        assert.deepEqual(audienceOf(token), audience);
        assert.notEqual(claimsOf(await manager.getToken()).sub, sub);
      });
    }

    test('exchanges an exchanged token, and a token of its own client', async (t) => {
      const manager = managerOf(t, 'requester');
      const subject = (await realm.signIn('alice')).access_token;
      for (const given of [
        await manager.onBehalfOf(subject).getToken(),
        await manager.getToken(),
      ]) {
        const token = await manager.onBehalfOf(given, { scope: 'aud-api1' }).getToken();
        assert.deepEqual(audienceOf(token), ['api1']);
        assert.equal(claimsOf(token).sub, claimsOf(given).sub);
      }
    });

    test("the token expires no later than the user's token", async (t) => {
      const manager = managerOf(t, 'requester');
      const subject = (await realm.signIn('alice', 'short-lived')).access_token;
      const user = manager.onBehalfOf(subject);
      const { token, expiresAt } = await user.getAccessToken();
      assert.ok(claimsOf(token).exp > claimsOf(subject).exp + 60, 'Keycloak grants more');
      assert.ok(expiresAt <= claimsOf(subject).exp * 1000);
    });

    test(
      'with dpop, the token is bound to the key',
      optionsFor('a server without DPoP'),
      async (t) => {
        const manager = managerOf(t, 'requester', { dpop: true });
        const subject = (await realm.signIn('alice')).access_token;
        const { token, tokenType } = await manager.onBehalfOf(subject).getAccessToken();
        assert.equal(tokenType, 'DPoP');
        assert.equal(claimsOf(token).cnf.jkt, manager.snapshot().dpopThumbprint);
      },
    );

    const dead = [400, 'invalid_request', /^Invalid token$/, /sign in again/];
    const wrongType = [400, 'invalid_request', /supports access tokens only/, /not the ID token/];
    const noAudience = [403, 'access_denied', /not within the token audience/, /audience mapper/];
    const accessToken = async (...user) => (await realm.signIn(...user)).access_token;
    for (const [name, subjectOf, refusal, { clientId = 'requester', request } = {}] of [
      [
        'an expired token',
        async () => {
          const subject = await accessToken('alice', 'short-lived');
          await delay(4_000);
          return subject;
        },
        dead,
      ],
      [
        'a revoked token',
        async () => {
          const subject = await accessToken('alice');
          await realm.revoke('app', subject);
          return subject;
        },
        dead,
      ],
      ['a string that is not a token', () => 'canary.of.a-subject', dead],
      [
        'a token with a wrong signature',
        async () => {
          const [header, payload] = (await accessToken('alice')).split('.');
          return `${header}.${payload}.${Buffer.alloc(256, 1).toString('base64url')}`;
        },
        dead,
      ],
      [
        'a token from another realm',
        (t) => {
          const { tokenEndpoint } = keycloak;
          const client = { clientId: 'kagenti-api', clientSecret: secretOf('kagenti-api') };
          return manage(t, { tokenEndpoint, ...client }).getToken();
        },
        dead,
      ],
      [
        'a token from another URL of the realm',
        () => {
          const tokenEndpoint = realm.tokenEndpoint.replace('127.0.0.1', 'localhost');
          assert.notEqual(tokenEndpoint, realm.tokenEndpoint);
          return accessToken('alice', 'app', { tokenEndpoint });
        },
        dead,
      ],
      [
        'an ID token',
        async () => (await realm.signIn('alice', 'app', { scope: 'openid' })).id_token,
        dead,
      ],
      ['a refresh token', async () => (await realm.signIn('alice')).refresh_token, dead],
      [
        'a token of a user who signed out',
        async () => {
          const subject = await accessToken('signed-out');
          await realm.admin('POST', `/users/${await realm.idOf('signed-out')}/logout`);
          return subject;
        },
        dead,
      ],
      [
        'a token of a disabled user',
        async () => {
          const subject = await accessToken('disabled');
          await realm.admin('PUT', `/users/${await realm.idOf('disabled')}`, { enabled: false });
          return subject;
        },
        dead,
      ],
      [
        'a token of a deleted user',
        async () => {
          const subject = await accessToken('deleted');
          await realm.admin('DELETE', `/users/${await realm.idOf('deleted')}`);
          return subject;
        },
        dead,
      ],
      [
        'a token issued to a client that was disabled',
        async () => {
          const subject = await accessToken('alice', 'turned-off');
          await realm.change('turned-off', { enabled: false });
          return subject;
        },
        dead,
      ],
      [
        'a token without this client in aud',
        () => accessToken('alice', 'without-audience'),
        noAudience,
      ],
      ['a lightweight token', () => accessToken('alice', 'lightweight'), noAudience],
      [
        'a token that is bound to the key of another client',
        (t) => managerOf(t, 'bound', { dpop: true }).getToken(),
        [400, 'invalid_request', /Sender-constrained/, /bound to a key or certificate/],
      ],
      [
        "a token with another token's type",
        () => accessToken('alice'),
        wrongType,
        { request: { subjectTokenType: 'urn:ietf:params:oauth:token-type:id_token' } },
      ],
      [
        'an unknown audience',
        () => accessToken('alice'),
        [400, 'invalid_client', /Audience not found/, /not the id of a client/],
        { request: { audience: 'nope' } },
      ],
      [
        'a disabled audience',
        () => accessToken('alice'),
        [400, 'invalid_client', /Client disabled/, /is disabled/],
        { request: { audience: 'api-off' } },
      ],
      [
        'an audience that the client cannot reach',
        () => accessToken('alice'),
        [400, 'invalid_request', /Requested audience not available: api3/, /client scope/],
        { request: { audience: 'api3' } },
      ],
      [
        'an unknown scope',
        () => accessToken('alice'),
        [400, 'invalid_scope', /nope/, /scope/],
        { request: { scope: 'nope' } },
      ],
      [
        'a field of another kind of exchange',
        () => accessToken('alice'),
        [400, 'invalid_request', /requested_subject/, /remove .* from parameters/],
        { request: { parameters: { requested_subject: 'alice' } } },
      ],
      [
        'a client whose switch is off',
        () => accessToken('alice'),
        [400, 'invalid_request', /not enabled for the requested client/, /Standard token exchange/],
        { clientId: 'switched-off' },
      ],
      [
        'a client that requires consent',
        () => accessToken('alice'),
        [400, 'invalid_scope', /Missing consents/, /Consent required/],
        { clientId: 'consent', request: { scope: 'aud-api1' } },
      ],
      [
        'a public client',
        () => accessToken('alice'),
        [400, 'invalid_client', /Public client is not allowed/, /public/],
        { clientId: 'public' },
      ],
    ]) {
      test(`${name}: the refusal has its advice`, async (t) => {
        const subject = await subjectOf(t);
        const manager = managerOf(t, clientId);
        await refused(manager.onBehalfOf(subject, request).getToken(), refusal, subject);
        if (clientId === 'requester')
          assert.ok(await manager.getToken(), 'the client is not in doubt');
      });
    }
  });

  describe(
    'the realm in docs/on-behalf-of.md',
    optionsFor('a server without token exchange'),
    () => {
      const page = path.resolve(__dirname, '../../docs/on-behalf-of.md');
      const [, json] = /```json\n(.*?)```/s.exec(fs.readFileSync(page, 'utf8'));
      const { realm: _, ...representation } = JSON.parse(json);
      const documented = realmWithUsers(keycloak, { ...representation, users: [user('alice')] });

      test('allows the exchange', async (t) => {
        // The users of the document sign in with a browser.
        await documented.change('portal-frontend', { directAccessGrantsEnabled: true });
        const subject = (await documented.signIn('alice', 'portal-frontend')).access_token;
        const { tokenEndpoint } = documented;
        const client = { clientId: 'portal-backend', clientSecret: 'change-me' };
        const manager = manage(t, { tokenEndpoint, ...client });
        const token = await manager.onBehalfOf(subject, { audience: 'agents-api' }).getToken();
        assert.deepEqual(audienceOf(token), ['agents-api']);
        assert.equal(claimsOf(token).sub, claimsOf(subject).sub);
      });
    },
  );

  describe('the JWT authorization grant', optionsFor('a server without the JWT grant'), () => {
    const { privateKey, publicKey } = generateKeyPairSync('rsa', { modulusLength: 2048 });
    const issuer = 'https://jwt-idp.example.com';
    before(async () => {
      const alias = 'jwtidp';
      await realm.admin('POST', '/identity-provider/instances', {
        alias,
        providerId: 'jwt-authorization-grant',
        enabled: true,
        config: {
          issuer,
          useJwksUrl: 'false',
          publicKeySignatureVerifier: publicKey.export({ type: 'spki', format: 'pem' }),
          jwtAuthorizationGrantEnabled: 'true',
        },
      });
      await realm.admin('POST', '/clients', {
        clientId: 'jwt-bearer',
        secret: SECRET,
        attributes: {
          'oauth2.jwt.authorization.grant.enabled': 'true',
          'oauth2.jwt.authorization.grant.idp': alias,
        },
      });
      const link = { userId: 'ext-alice', userName: 'alice' };
      const id = await realm.idOf('alice');
      await realm.admin('POST', `/users/${id}/federated-identity/${alias}`, link);
    });

    const nowSeconds = () => Math.floor(Date.now() / 1000);
    /**
     * Signs an assertion. `claims` replace the valid claims; the value `undefined` removes a claim.
     */
    function assertionOf(claims = {}, key = privateKey) {
      const payload = {
        iss: issuer,
        sub: 'ext-alice',
        aud: realm.realmUrl,
        exp: nowSeconds() + 60,
        jti: randomUUID(),
        ...claims,
      };
      const encode = (value) => Buffer.from(JSON.stringify(value)).toString('base64url');
      const text = `${encode({ alg: 'RS256', typ: 'JWT' })}.${encode(payload)}`;
      return `${text}.${sign('sha256', text, key).toString('base64url')}`;
    }
    const derive = (manager, assertion) =>
      manager.for({ grant: { type: 'jwt-bearer', assertion } });

    test('returns a token for the linked user', async (t) => {
      const manager = managerOf(t, 'jwt-bearer');
      const token = await derive(manager, assertionOf()).getToken();
      const { azp, sub } = claimsOf(token);
      assert.deepEqual([azp, sub], ['jwt-bearer', await realm.idOf('alice')]);
    });

    test('a function provides a new assertion for each request', async (t) => {
      const derived = derive(managerOf(t, 'jwt-bearer'), async () => assertionOf());
      const first = await derived.getToken();
      assert.notEqual(await derived.getToken({ forceRefresh: true }), first);
    });

    test('the server refuses the second use of an assertion', async (t) => {
      const assertion = assertionOf();
      await derive(managerOf(t, 'jwt-bearer'), assertion).getToken();
      const refusal = [400, 'invalid_grant', /Token reuse detected/, /new assertion/];
      await refused(derive(managerOf(t, 'jwt-bearer'), assertion).getToken(), refusal, assertion);
    });

    const wrong = /check its issuer, audience, lifetime and signature/;
    const stranger = generateKeyPairSync('rsa', { modulusLength: 2048 }).privateKey;
    for (const [name, claims, description, advice = wrong, { key, clientId } = {}] of [
      ['of another issuer', { iss: 'https://other.example' }, /No Identity Provider/],
      ['without an issuer', { iss: undefined }, /Missing claim/],
      ['for an unknown user', { sub: 'nobody' }, /User not found/, /link the user/],
      ['without a user', { sub: undefined }, /Missing claim/],
      ['for another audience', { aud: 'https://other.example' }, /Invalid token audience/],
      ['without an expiry', { exp: undefined }, /exp claim is required/],
      ['that has expired', { exp: 1_000_000_000 }, /not active/],
      ['issued in the future', { iat: 4_000_000_000 }, /issued in the future/],
      ['without an id', { jti: undefined }, /jti claim is required/],
      ['with a wrong signature', {}, /Invalid signature/, wrong, { key: stranger }],
      [
        'for a client whose grant is off',
        {},
        /not supported for the requested client/,
        /is off/,
        { clientId: 'many' },
      ],
    ]) {
      test(`an assertion ${name}: the refusal has its advice`, async (t) => {
        const assertion = assertionOf(claims, key);
        const call = derive(managerOf(t, clientId ?? 'jwt-bearer'), assertion).getToken();
        await refused(call, [400, 'invalid_grant', description, advice], assertion);
      });
    }
  });

  for (const [name, target] of [
    ['the endpoint beside the token endpoint', () => ({})],
    [
      'the endpoint in the discovery document',
      () => ({ tokenEndpoint: undefined, issuer: realm.realmUrl }),
    ],
  ]) {
    test(`close({ revoke: true }) revokes all tokens at ${name}`, async (t) => {
      const manager = managerOf(t, 'many', target());
      const managers = [manager, manager.for({ scope: 'aud-api1' })];
      const tokens = await Promise.all(managers.map((each) => each.getToken()));
      assert.deepEqual(await Promise.all(tokens.map(realm.isActive)), [true, true]);
      await manager.close({ revoke: true });
      assert.deepEqual(await Promise.all(tokens.map(realm.isActive)), [false, false]);
      assert.match(manager.lines.at(-1), /revoked 2 of 2 tokens/);
    });
  }
});
