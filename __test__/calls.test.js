'use strict';

// The arguments and results of calls, and what concurrent callers share.

const assert = require('node:assert/strict');
const { describe, test } = require('node:test');
const { KeycloakTokenError } = require('..');
const { rejection, start, times, tokenResponse } = require('./support/manager.js');
const { nativeCalls } = require('./support/native-calls.js');

const NOT_NUMBERS = {
  null: null,
  'a string': '60',
  'a boolean': true,
  NaN: Number.NaN,
  'a negative number': -1,
  'a bigint': 1n,
  'a symbol': Symbol('canary'),
  'an object': {},
  'an array': [60],
  'a function': () => 60,
};

/** Invalid call options, keyed by a description. */
const WRONG = {
  null: null,
  'a string': 'canary',
  'a boolean': true,
  'a function': () => {},
  'an array': [],
  'an unknown option': { minValidity: 60 },
  'an option of the constructor': { scope: 'canary' },
  ...Object.fromEntries(
    Object.entries(NOT_NUMBERS).map(([name, value]) => [
      `minValiditySeconds: ${name}`,
      { minValiditySeconds: value },
    ]),
  ),
  'forceRefresh: null': { forceRefresh: null },
  'forceRefresh: a string': { forceRefresh: 'true' },
  'signal: null': { signal: null },
  'signal: a controller': { signal: new AbortController() },
  'signal: an object': { signal: {} },
  'signal: an object that cannot be listened to': { signal: { aborted: false } },
  'a getter that throws': {
    get signal() {
      throw new Error('canary');
    },
  },
};

/** Calls a method that must not throw, and waits for its rejection. */
async function refused(name, call) {
  let promise;
  assert.doesNotThrow(() => {
    promise = call();
  }, name);
  assert.ok(promise instanceof Promise, name);
  const error = await rejection(promise, 'ERR_KEYCLOAK_REQUEST');
  assert.equal(error.retryable, false, name);
  assert.match(error.stack, /calls\.test\.js/, name);
  assert.ok(!error.message.includes('canary'), name);
  return error;
}

describe('arguments', () => {
  for (const method of ['getToken', 'getAccessToken']) {
    test(`${method} rejects invalid options with and without a token, and sends no request`, async (t) => {
      const { endpoint, manager } = await start(t);
      for (const [name, options] of Object.entries(WRONG)) {
        await refused(name, () => manager[method](options));
      }
      assert.equal(endpoint.requestCount, 0);
      await manager.getToken();
      for (const [name, options] of Object.entries(WRONG)) {
        await refused(name, () => manager[method](options));
      }
      assert.equal(endpoint.requestCount, 1);
    });
  }

  for (const method of [
    'getToken',
    'getAccessToken',
    'getTokenForStreaming',
    'headers',
    'close',
    Symbol.asyncDispose,
  ]) {
    test(`${String(method)} rejects if its object is not a manager`, async (t) => {
      const { manager } = await start(t);
      for (const object of [undefined, null, {}, Object.create(manager)]) {
        const name = `${typeof object}`;
        const { message } = await refused(name, () => manager[method].call(object));
        assert.match(message, /was called on an object that is not a KeycloakTokenManager/, name);
      }
    });
  }

  test('getTokenForStreaming rejects any argument except a non-negative number', async (t) => {
    const { endpoint, manager } = await start(t);
    for (const [name, value] of Object.entries({ ...NOT_NUMBERS, undefined: undefined })) {
      const { message } = await refused(name, () => manager.getTokenForStreaming(value));
      assert.match(message, /minLifetimeMs/, name);
    }
    assert.equal(endpoint.requestCount, 0);
  });

  test('invalidateToken throws for any argument except a string or undefined', async (t) => {
    const { manager } = await start(t);
    const token = await manager.getToken();
    const { undefined: _none, 'a string': _text, ...wrong } = { ...NOT_NUMBERS, 'a number': 1 };
    for (const [name, value] of Object.entries(wrong)) {
      assert.throws(
        () => manager.invalidateToken(value),
        (error) => error instanceof KeycloakTokenError && error.code === 'ERR_KEYCLOAK_REQUEST',
        name,
      );
    }
    assert.equal(await manager.getToken(), token);
  });

  test('take effect if they are valid, and undefined counts as absent', async (t) => {
    const { endpoint, manager } = await start(t);
    const { signal } = new AbortController();
    const token = await manager.getToken();
    for (const options of [
      {},
      { minValiditySeconds: undefined, signal: undefined, forceRefresh: undefined, a: undefined },
      { minValiditySeconds: 0, forceRefresh: false },
      { minValiditySeconds: 0.5 },
      { minValiditySeconds: 200, signal },
      Object.create(null),
    ]) {
      assert.equal(await manager.getToken(options), token);
    }
    assert.equal(await manager.getTokenForStreaming(0), token);
    assert.equal(await manager.getTokenForStreaming(200_000), token, 'in milliseconds');
    assert.equal(endpoint.requestCount, 1);
  });
});

describe('concurrent callers', () => {
  test('share one promise, one call of the native `ask` and one request, even 10,000 of them', async (t) => {
    const { endpoint, manager } = await start(t);
    const calls = nativeCalls(t);
    endpoint.pause();
    const promises = times(10_000, () => manager.getToken());
    assert.deepEqual(calls, ['ask', 'hold']);
    await endpoint.waitForRequests(1);
    promises.push(manager.getToken());
    assert.equal(new Set(promises).size, 1);
    endpoint.resume();
    assert.match(await promises[0], /^ey/);
    assert.equal(endpoint.requestCount, 1);
    const { hits, joins, acquisitions } = manager.snapshot().counters;
    assert.deepEqual({ hits, joins, acquisitions }, { hits: 0, joins: 10_000, acquisitions: 1 });
  });

  test('share a failure, and its error if they share a promise', async (t) => {
    const { endpoint, manager } = await start(t);
    endpoint.setAnswer({ status: 400, body: { error: 'invalid_scope' } });
    const { signal } = new AbortController();
    const calls = [
      ...times(100, () => manager.getToken()),
      ...times(9, () => manager.getAccessToken({ signal })),
      manager.getToken({ forceRefresh: true }),
      manager.getToken({ minValiditySeconds: 10 }),
    ];
    const errors = await Promise.all(calls.map((call) => rejection(call, 'ERR_KEYCLOAK_OAUTH')));
    assert.equal(new Set(errors.slice(0, 100)).size, 1);
    assert.equal(new Set(errors.map(({ message }) => message)).size, 1);
    assert.equal(endpoint.requestCount, 1);
  });

  test('increase the counters exactly, with every method and option', async (t) => {
    const { endpoint, manager } = await start(t);
    const { signal } = new AbortController();
    const kinds = [
      () => manager.getToken(),
      () => manager.getToken({}),
      () => manager.getToken({ signal }),
      () => manager.getToken({ minValiditySeconds: 10 }),
      () => manager.getAccessToken(),
      () => manager.getAccessToken({ signal }),
      () => manager.getTokenForStreaming(10_000),
    ];
    endpoint.pause();
    const waiting = kinds.map((call) => call());
    endpoint.resume();
    await Promise.all(waiting);
    await Promise.all(times(70, (index) => kinds[index % kinds.length]()));
    const { hits, joins, acquisitions } = manager.snapshot().counters;
    assert.deepEqual([hits, joins, acquisitions], [70, kinds.length - 1, 1]);
    assert.equal(endpoint.requestCount, 1);
  });
});

describe('getAccessToken', { concurrency: true }, () => {
  test('returns the token with its type, scope and times', async (t) => {
    const { endpoint, manager } = await start(t);
    const before = Date.now();
    const first = await manager.getAccessToken();
    assert.equal(`${first}`, first.token);
    const after = Date.now();
    const token = await manager.getToken();
    const times = { issuedAt: first.issuedAt, expiresAt: first.issuedAt + 299_000 };
    assert.deepEqual(first, { token, tokenType: 'Bearer', scope: 'email profile', ...times });
    assert.ok(first.issuedAt >= before && first.issuedAt <= endpoint.requests[0].at);
    assert.ok(endpoint.requests[0].at <= after);
    assert.deepEqual(await manager.getAccessToken(), first);
    assert.equal(endpoint.requestCount, 1);
  });

  test('returns a separate object to each caller', async (t) => {
    const { manager } = await start(t);
    const mine = await manager.getAccessToken();
    const { token } = mine;
    mine.token = 'changed';
    assert.equal((await manager.getAccessToken()).token, token);
    assert.equal(await manager.getToken(), token);
  });

  test('returns the scope in the answer, or else the scope in the options', async (t) => {
    for (const [options, answer, expected] of [
      [{ scope: 'a b' }, { scope: 'a' }, 'a'],
      [{ scope: ['a', 'b'] }, {}, 'a b'],
      [{}, {}, undefined],
    ]) {
      const { endpoint, manager } = await start(t, options);
      endpoint.setAnswer({ body: { ...tokenResponse('token', 300), ...answer } });
      assert.equal((await manager.getAccessToken()).scope, expected);
    }
  });
});
