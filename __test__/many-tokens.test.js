'use strict';

/** `manager.for`, `manager.onBehalfOf` and the properties of `init`: many tokens for one client. */

const assert = require('node:assert/strict');
const { setTimeout: delay } = require('node:timers/promises');
const { describe, test } = require('node:test');
const v8 = require('node:v8');
const vm = require('node:vm');
const { KeycloakTokenManager } = require('..');
const { bearer, startBoth } = require('./support/api-server.js');
const { CLIENT, openManager, rejection, start, times, until } = require('./support/manager.js');
const { nativeCalls } = require('./support/native-calls.js');

const claimsOf = (token) => JSON.parse(Buffer.from(token.split('.')[1], 'base64url'));
const userToken = (endpoint, name, claims) =>
  endpoint.issueToken({ sub: name, preferred_username: name, ...claims });
const scopesOf = ({ requests }) => requests.map(({ scope }) => scope);

v8.setFlagsFromString('--expose-gc');
const gc = vm.runInNewContext('gc');

describe('for', { concurrency: true }, () => {
  test('gives each request its own token', async (t) => {
    const { endpoint, manager } = await start(t, { scope: 'own' });
    const derived = [manager.for({ scope: 'b a' }), manager.for({ scope: 'c', audience: 'api' })];
    const tokens = await Promise.all([manager, ...derived].map((each) => each.getToken()));
    assert.equal(new Set(tokens).size, 3);
    assert.deepEqual(scopesOf(endpoint).sort(), ['a b', 'c', 'own']);
    await Promise.all([manager, ...derived].map((each) => each.getToken()));
    assert.equal(endpoint.requestCount, 3, 'cached');
    const [, { parameters }] = endpoint.requests;
    assert.equal(endpoint.requests.find(({ scope }) => scope === 'c').parameters.audience, 'api');
    assert.equal(parameters.grant_type, 'client_credentials');
  });

  test('returns the same manager for equal requests', async (t) => {
    const { manager } = await start(t);
    const one = manager.for({ scope: 'b a b', audience: ['y', 'x'] });
    assert.equal(manager.for({ scope: ['a', 'b'], audience: ['x', 'y', 'x'] }), one);
    assert.equal(manager.for({ scope: 'a b' }).for({ audience: ['x', 'y'] }), one);
    assert.notEqual(manager.for({ scope: 'a b', audience: 'x' }), one);
    const withParameters = manager.for({ parameters: { a: '1', b: '2' } });
    assert.equal(manager.for({ parameters: { b: '2', a: '1' } }), withParameters);
    const resource = { baseUrl: 'https://api.example/v1' };
    const mutable = ['b'];
    const kept = manager.for({ scope: mutable });
    mutable[0] = 'c';
    assert.equal(manager.for({ scope: 'b' }), kept);
    assert.notEqual(manager.for({ scope: '[0,0,0,0,0,0,0]' }), manager.for());
    const api = manager.for({ scope: 'a', resource });
    assert.equal(manager.for({ scope: 'a', resource: { ...resource } }), api);
    assert.notEqual(manager.for({ scope: 'a' }), api);
  });

  test('has the hot path of its parent', async (t) => {
    const { manager } = await start(t);
    await manager.getToken();
    const calls = nativeCalls(t);
    const derived = manager.for({ scope: 'a' });
    assert.deepEqual(calls, [], 'no native side before the first call');
    await derived.getToken();
    calls.length = 0;
    assert.equal(derived.getToken(), derived.getToken());
    await derived.getAccessToken();
    assert.deepEqual(calls, []);
    const { counters } = manager.snapshot().derived;
    assert.deepEqual([counters.hits, counters.acquisitions], [3, 1]);
    assert.equal(derived.snapshot().counters.hits, 3);
    assert.equal(manager.snapshot().counters.hits, 0);
  });

  test('refuses invalid requests', async (t) => {
    const { endpoint, manager } = await start(t);
    const long = times(1_000, (index) => `scope-${index}`);
    for (const [request, expected] of [
      [null, 'request: expected an object'],
      [{ scopes: 'a' }, '"scopes": no such request field'],
      [{ scope: '' }, 'scope: expected'],
      [{ scope: 'a  b' }, 'scope: expected'],
      [{ scope: [] }, 'scope: expected'],
      [{ scope: long }, 'request fewer scopes'],
      [{ audience: '' }, 'audience: expected'],
      [{ requestedResource: [1] }, 'requestedResource: expected'],
      [{ parameters: { scope: 'a' } }, 'is a field that the manager sets'],
      [{ parameters: { a: 1 } }, 'to be a string'],
      [{ grant: { type: 'password' } }, "type: 'jwt-bearer'"],
      [{ grant: { type: 'jwt-bearer' } }, 'grant.assertion: expected a token'],
    ]) {
      const isExpected = ({ code, message }) =>
        code === 'ERR_KEYCLOAK_REQUEST' && message.includes(expected);
      assert.throws(() => manager.for(request), isExpected, JSON.stringify(request));
    }
    const resource = { baseUrl: 'http://api.example' };
    assert.throws(() => manager.for({ resource }), { code: 'ERR_KEYCLOAK_CONFIG' });
    assert.equal(endpoint.requestCount, 0);
  });

  test('requests a token with an assertion', async (t) => {
    const { endpoint, manager } = await start(t);
    const grant = { type: 'jwt-bearer', assertion: 'a.s.s' };
    const error = await rejection(manager.for({ grant }).getToken(), 'ERR_KEYCLOAK_OAUTH');
    assert.match(error.message, /does not offer the JWT authorization grant/);
    const [{ grantType, parameters }] = endpoint.requests;
    assert.equal(grantType, 'urn:ietf:params:oauth:grant-type:jwt-bearer');
    assert.equal(parameters.client_id, CLIENT.clientId);
  });

  test('calls the assertion function before each request', async (t) => {
    const { endpoint, manager } = await start(t);
    endpoint.setAnswer({ body: { access_token: 't', token_type: 'Bearer', expires_in: 300 } });
    endpoint.answerNext({ status: 503 });
    let calls = 0;
    const assertion = async () => `a.s.${++calls}`;
    const grant = { type: 'jwt-bearer', assertion };
    const derived = manager.for({ grant });
    assert.equal(manager.for({ grant: { type: 'jwt-bearer', assertion } }), derived);
    await derived.getToken();
    assert.deepEqual([calls, endpoint.requestCount], [2, 2]);
  });

  test('an assertion function that fails affects only its own manager', async (t) => {
    const { endpoint, manager } = await start(t, { requestTimeoutMs: 1_000 });
    const cause = new Error('the vault is closed');
    for (const [assertion, expected] of [
      [() => Promise.reject(cause), /the grant\.assertion function failed; see cause/],
      [() => '', /must return a non-empty string, but returned an empty string/],
      [() => new Promise(() => {}), /did not return an assertion within 1000 ms/],
    ]) {
      const derived = manager.for({ grant: { type: 'jwt-bearer', assertion } });
      const error = await rejection(derived.getToken(), 'ERR_KEYCLOAK_CREDENTIAL');
      assert.match(error.message, expected);
      if (error.message.includes('cause')) assert.equal(error.cause, cause);
      assert.ok(await manager.getToken());
    }
    assert.equal(endpoint.requestCount, 1);
  });

  test('closes with its parent, and has no method close()', async (t) => {
    const { endpoint, manager } = await start(t);
    const derived = manager.for({ scope: 'a' });
    const awaited = manager.for({ scope: 'b' });
    const waits = rejection(awaited.getToken(), 'ERR_KEYCLOAK_CLOSED');
    endpoint.pause();
    await endpoint.waitForRequests(1);
    await manager.close();
    await waits;
    for (const each of [derived, awaited]) {
      await rejection(each.getToken(), 'ERR_KEYCLOAK_CLOSED');
      assert.equal(each.snapshot().state, 'closed');
    }
    assert.equal(derived.close, undefined);
  });

  test('warns once about an audience that the server ignores', async (t) => {
    const { manager, at } = await start(t, { audience: 'api' });
    await manager.getToken();
    await manager.for({ scope: 'a' }).getToken();
    assert.equal(at('warn').length, 1);
    assert.match(at('warn')[0], /aud lacks the requested audience "api"/);
  });
});

describe('the lifetime of derived managers', () => {
  test('10,000 of them take little time and have no buffers of their own', async (t) => {
    const manager = openManager(t, { tokenEndpoint: 'http://127.0.0.1:1/' });
    const make = (round) => times(10_000, (index) => manager.for({ scope: `${round}-${index}` }));
    make('a');
    make('b');
    gc();
    const before = process.memoryUsage().heapUsed;
    const { user: start } = process.cpuUsage();
    const managers = make('c');
    const tookMs = (process.cpuUsage().user - start) / 1_000;
    gc();
    const bytes = (process.memoryUsage().heapUsed - before) / managers.length;
    // The bar is 75 ms on a machine without other load.
    assert.ok(tookMs < 300, `${tookMs} ms`);
    assert.ok(bytes < 600, `${bytes} bytes each`);
  });

  test('the garbage collector frees them when the program no longer refers to them', async (t) => {
    const { manager } = await start(t);
    const resource = { baseUrl: 'https://api.example' };
    const count = () => manager.snapshot().derived;
    // The managers live in a function of their own, so that the engine no longer refers to them.
    const use = async () => {
      const managers = times(600, (index) => manager.for({ scope: `s${index}`, resource }));
      await Promise.all(managers.map((derived) => derived.getToken()));
      const { tokens } = count();
      // The garbage collector may run at any time, but not before the last use of the managers.
      assert.equal(tokens, managers.length);
    };
    await use();
    const collected = async () => {
      gc();
      await delay(20);
      return count().managers === 256;
    };
    await until(collected, 'the unused ones are freed');
    assert.equal(count().counters.acquisitions, 600);
    await use();
    assert.equal(count().managers <= 600, true);
  });
});

describe('onBehalfOf', { concurrency: true }, () => {
  test("exchanges the user's token, once for all calls", async (t) => {
    const { endpoint, manager } = await start(t);
    const subject = userToken(endpoint, 'jane');
    const tokens = await Promise.all(
      times(20, () => manager.onBehalfOf(subject, { audience: ['b', 'a'] }).getToken()),
    );
    assert.equal(new Set(tokens).size, 1);
    const { sub, aud, azp } = claimsOf(tokens[0]);
    assert.deepEqual({ sub, aud, azp }, { sub: 'jane', aud: ['a', 'b'], azp: CLIENT.clientId });
    const [{ grantType, parameters }, ...others] = endpoint.requests;
    assert.deepEqual(others, []);
    assert.equal(grantType, 'urn:ietf:params:oauth:grant-type:token-exchange');
    const type = 'urn:ietf:params:oauth:token-type:access_token';
    assert.equal(parameters.subject_token_type, type);
    assert.equal(parameters.requested_token_type, type);
    const other = await manager.onBehalfOf(userToken(endpoint, 'joe')).getToken();
    assert.equal(claimsOf(other).sub, 'joe');
    assert.notEqual(claimsOf(await manager.getToken()).sub, 'jane');
  });

  test("never uses the service's token if the user's token is missing", async (t) => {
    const { api, endpoint, manager } = await startBoth(t);
    const long = 'a'.repeat(20_001);
    for (const subject of [undefined, '', null, 1, {}, `Bearer ${'a'}`, 'bearer a', long]) {
      assert.throws(() => manager.onBehalfOf(subject), { code: 'ERR_KEYCLOAK_REQUEST' });
      const call = manager.fetch('/', { onBehalfOf: subject });
      const error = await rejection(call, 'ERR_KEYCLOAK_REQUEST');
      assert.ok(!error.message.includes('aaa'));
      await rejection(manager.headers({ onBehalfOf: subject }), 'ERR_KEYCLOAK_REQUEST');
    }
    const inherited = Object.create({ onBehalfOf: undefined });
    await rejection(manager.fetch('/', inherited), 'ERR_KEYCLOAK_REQUEST');
    assert.equal(endpoint.requestCount + api.requests.length, 0);
  });

  test('names the remedy for a refused token, and remembers the refusal', async (t) => {
    const { endpoint, manager } = await start(t);
    const cases = [
      ['garbage', /sign in again/],
      [userToken(endpoint, 'jane', { exp: 1 }), /sign in again/],
      [userToken(endpoint, 'jane', { azp: 'other' }), /add an audience mapper/],
    ];
    for (const [subject, expected] of cases) {
      const error = await rejection(manager.onBehalfOf(subject).getToken(), 'ERR_KEYCLOAK_OAUTH');
      assert.match(error.message, expected);
      assert.ok(!error.message.includes(subject), 'not the token');
      const again = await rejection(manager.onBehalfOf(subject).getToken(), 'ERR_KEYCLOAK_OAUTH');
      assert.ok(again.retryAfterMs > 0);
    }
    assert.equal(endpoint.requestCount, cases.length);
    await manager.onBehalfOf(userToken(endpoint, 'joe')).getToken();
  });

  test('keeps the most recently used user tokens', async (t) => {
    const { endpoint, manager } = await start(t, { maxUserTokens: 3 });
    const users = times(5, (index) => userToken(endpoint, `user-${index}`));
    for (const user of users) await manager.onBehalfOf(user).getToken();
    assert.equal(manager.snapshot().derived.tokens, 3);
    for (const user of users.slice(2)) await manager.onBehalfOf(user).getToken();
    assert.equal(endpoint.requestCount, 5, 'still cached');
    const held = manager.onBehalfOf(users[0]);
    assert.equal(claimsOf(await held.getToken()).sub, 'user-0');
    assert.equal(endpoint.requestCount, 6);
    for (const user of users.slice(3)) await manager.onBehalfOf(user).getToken();
    await manager.onBehalfOf(users[1]).getToken();
    assert.equal(manager.snapshot().derived.tokens, 3);
    assert.equal(claimsOf(await held.getToken()).sub, 'user-0', 'a dropped one exchanges again');
  });

  test('serves a user whose dropped manager the program still uses', async (t) => {
    const { endpoint, manager } = await start(t, { maxUserTokens: 2 });
    const [first, ...others] = times(3, (index) =>
      manager.onBehalfOf(userToken(endpoint, `user-${index}`)),
    );
    for (const user of [first, ...others]) await user.getToken();
    for (const user of others) await user.getToken();
    assert.equal(claimsOf(await first.getToken()).sub, 'user-0');
    assert.equal(claimsOf(await first.getToken({ forceRefresh: true })).sub, 'user-0');
    assert.equal(manager.snapshot().derived.tokens, 2);
  });

  test('a caller that waits while its user is dropped still gets the token', async (t) => {
    const { endpoint, manager } = await start(t, { maxUserTokens: 1 });
    endpoint.pause();
    const [one, two] = ['one', 'two'].map((name) => {
      const subject = userToken(endpoint, name);
      return manager.onBehalfOf(subject).getToken();
    });
    await endpoint.waitForRequests(2);
    endpoint.resume();
    assert.deepEqual([claimsOf(await one).sub, claimsOf(await two).sub], ['one', 'two']);
    assert.equal(manager.snapshot().derived.tokens, 1);
  });

  test('forgets a user who signs out', async (t) => {
    const { endpoint, manager } = await start(t);
    const [jane, joe] = ['jane', 'joe'].map((name) => userToken(endpoint, name));
    const calls = [[jane], [jane, { audience: 'api' }], [joe]];
    const ask = () => Promise.all(calls.map((call) => manager.onBehalfOf(...call).getToken()));
    await ask();
    manager.forgetSubject(jane);
    assert.equal(manager.snapshot().derived.tokens, 1);
    await ask();
    assert.equal(endpoint.requestCount, 5);
    assert.throws(() => manager.forgetSubject(undefined), { code: 'ERR_KEYCLOAK_REQUEST' });
  });

  test('an unknown audience is not mistaken for a wrong secret', async (t) => {
    let reads = 0;
    const clientSecret = () => {
      reads += 1;
      return CLIENT.clientSecret;
    };
    const { endpoint, manager } = await start(t, { clientSecret });
    const body = { error: 'invalid_client', error_description: 'Audience not found' };
    endpoint.answerNext({ status: 400, body });
    const subject = userToken(endpoint, 'jane');
    const call = manager.onBehalfOf(subject, { audience: 'nope' }).getToken();
    const error = await rejection(call, 'ERR_KEYCLOAK_OAUTH');
    assert.match(error.message, /not the id of a client/);
    assert.deepEqual([reads, endpoint.requestCount], [1, 1]);
    await manager.getToken();
  });
});

describe('fetch with a request for one call', { concurrency: true }, () => {
  test('sends the token for the user or the scope of that call', async (t) => {
    const { api, endpoint, manager } = await startBoth(t);
    endpoint.restore();
    const subject = userToken(endpoint, 'jane');
    const init = { headers: { 'x-a': '1' }, method: 'POST', body: 'text' };
    await manager.fetch('agents', { ...init, onBehalfOf: subject, audience: 'api' });
    await manager.fetch('agents', { ...init, scope: ['b', 'a'] });
    await manager.fetch('agents', { ...init, scope: undefined });
    await manager.withResource({ baseUrl: api.url }).fetch('agents', { onBehalfOf: subject });
    const claims = api.requests.map((request) => claimsOf(bearer(request)));
    assert.deepEqual(
      claims.map(({ aud, scope, sub }) => [sub === 'jane', aud, scope]),
      [
        [true, 'api', 'email profile'],
        [false, 'account', 'a b'],
        [false, 'account', 'email profile'],
        [true, undefined, 'email profile'],
      ],
    );
    const [{ headers, method }] = api.requests;
    assert.deepEqual([headers['x-a'], method], ['1', 'POST']);
  });

  test("drops only the user's token after its rejection", async (t) => {
    let first;
    const refuseFirst = (request) => (bearer(request) === first ? [401, {}, ''] : 'ok');
    const { endpoint, manager } = await startBoth(t, refuseFirst);
    const subject = userToken(endpoint, 'jane');
    const own = await manager.getToken();
    first = await manager.onBehalfOf(subject).getToken();
    const response = await manager.fetch('agents', { onBehalfOf: subject });
    assert.equal(response.status, 200);
    assert.equal(await manager.getToken(), own);
    assert.notEqual(await manager.onBehalfOf(subject).getToken(), first);
    assert.equal(endpoint.requestCount, 3);
  });
});

test("headers returns the user's token, but only for the manager's API", async (t) => {
  const { endpoint, manager } = await start(t, { resource: { baseUrl: 'https://api.example' } });
  const onBehalfOf = userToken(endpoint, 'jane');
  const backstageUser = 'user:default/jane';
  const { Authorization, ...others } = await manager.headers({ onBehalfOf, backstageUser });
  assert.equal(claimsOf(Authorization.slice(7)).sub, 'jane');
  assert.deepEqual(others, { 'X-Backstage-User': backstageUser });
  const call = manager.headers({ url: 'https://other.example', onBehalfOf });
  await rejection(call, 'ERR_KEYCLOAK_REQUEST');
});

test('the manager refuses an option maxUserTokens that is not a positive integer', () => {
  for (const maxUserTokens of [0, -1, 1.5, '1', null]) {
    const options = { ...CLIENT, tokenEndpoint: 'https://sso.example/', maxUserTokens };
    assert.throws(() => new KeycloakTokenManager(options), { code: 'ERR_KEYCLOAK_CONFIG' });
  }
});

describe('close', { concurrency: true }, () => {
  test('revokes the tokens of all managers', async (t) => {
    const { endpoint, manager, at } = await start(t);
    const subject = userToken(endpoint, 'jane');
    const managers = [manager, manager.for({ scope: 'a' }), manager.onBehalfOf(subject)];
    const tokens = await Promise.all(managers.map((each) => each.getToken()));
    const closing = manager.close({ revoke: true });
    await rejection(manager.getToken(), 'ERR_KEYCLOAK_CLOSED');
    await Promise.all([closing, manager.close({ revoke: true })]);
    assert.deepEqual(new Set(endpoint.revokedTokens), new Set(tokens));
    assert.match(at('info').at(-1), /revoked 3 of 3 tokens/);
    await manager.close();
  });

  test('revokes nothing by default, and refuses invalid options', async (t) => {
    const { endpoint, manager } = await start(t);
    await manager.getToken();
    for (const options of [null, 1, { revoke: 1 }, { now: true }]) {
      await rejection(manager.close(options), 'ERR_KEYCLOAK_REQUEST');
    }
    await manager.close({ revoke: false });
    assert.deepEqual(endpoint.revokedTokens, []);
    await manager.close({ revoke: true });
  });

  test('ends within the limit if the server does not answer', async (t) => {
    const { endpoint, manager, at } = await start(t);
    await manager.getToken();
    await endpoint.goOffline();
    const before = performance.now();
    await manager.close({ revoke: true });
    assert.ok(performance.now() - before < 4_000);
    assert.match(at('warn').at(-1), /revoked 0 of 1 tokens/);
  });
});
