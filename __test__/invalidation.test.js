'use strict';

// Calls that replace, clear or reject a held token. `crates/manager/src/slot/tests.rs` checks the
// rules one by one.

const assert = require('node:assert/strict');
const { describe, test } = require('node:test');
const reconfigure = require('../lib/reconfigure.js');
const { startApi } = require('./support/api-server.js');
const {
  CLIENT,
  rejection,
  startNumbered,
  times,
  tokenResponse,
  until,
} = require('./support/manager.js');

const LONG_S = 300;

const forced = { forceRefresh: true };

describe('forceRefresh', { timeout: 30_000 }, () => {
  test('gives all callers one new token, and other calls the held token', async (t) => {
    // The manager calls the function after this turn, so it sends the request after all of the
    // calls.
    const clientSecret = async () => CLIENT.clientSecret;
    const { endpoint, manager } = await startNumbered(t, LONG_S, { clientSecret });
    await manager.getToken();
    endpoint.pause();
    const calls = times(10, () => manager.getToken(forced));
    await endpoint.waitForRequests(2);
    assert.equal(await manager.getToken(), 'token-1');
    endpoint.resume();
    assert.deepEqual(new Set(await Promise.all(calls)), new Set(['token-2']));
    assert.equal(await manager.getToken(), 'token-2');
    assert.equal(endpoint.requestCount, 2);
  });

  test('does not return the token from an earlier request', async (t) => {
    const { endpoint, manager } = await startNumbered(t, LONG_S);
    endpoint.pause();
    const early = manager.getToken();
    await endpoint.waitForRequests(1);
    const calls = times(10, () => manager.getToken(forced));
    endpoint.resume();
    assert.equal(await early, 'token-1');
    assert.deepEqual(new Set(await Promise.all(calls)), new Set(['token-2']));
    assert.equal(endpoint.requestCount, 2);
  });

  test('rejects with the error of its request, which starts a cool-down', async (t) => {
    const { endpoint, manager } = await startNumbered(t, LONG_S);
    await manager.getToken();
    endpoint.pause();
    endpoint.setAnswer({ status: 400, body: { error: 'invalid_scope' } });
    const early = manager.getToken({ minValiditySeconds: 299.5 });
    await endpoint.waitForRequests(2);
    const call = rejection(manager.getToken(forced), 'ERR_KEYCLOAK_OAUTH');
    endpoint.resume();
    assert.equal(await early, 'token-1');
    assert.ok((await call).retryAfterMs > 0);
    assert.equal(endpoint.requestCount, 2);
  });
});

describe('clearCache', { concurrency: true }, () => {
  test('drops three tokens in a row but not the fourth, which a changed API never gets', async (t) => {
    const api = await startApi(t);
    const options = { resource: { baseUrl: 'http://127.0.0.2:9' } };
    const { endpoint, manager } = await startNumbered(t, LONG_S, options);
    for (const _ of times(5)) {
      await manager.getToken();
      assert.equal(manager.clearCache(), undefined);
    }
    assert.equal(endpoint.requestCount, 4, 'three clears are honoured');
    assert.equal(await manager.getToken(), 'token-4');
    const { tokenEndpoint } = endpoint;
    manager[reconfigure]({ ...CLIENT, tokenEndpoint, resource: { baseUrl: api.url } });
    await manager.fetch('/');
    assert.equal(api.requests[0].headers.authorization, 'Bearer token-5');
  });

  test('keeps a late answer out of the slot of a later request', async (t) => {
    const { endpoint, manager } = await startNumbered(t, LONG_S);
    let release;
    const released = new Promise((resolve) => {
      release = resolve;
    });
    endpoint.answerNext(async () => {
      await released;
      return { body: tokenResponse('late', 3_600) };
    });
    const early = manager.getToken();
    await endpoint.waitForRequests(1);
    manager.clearCache();
    assert.equal(await manager.getToken(), 'token-1');
    release();
    assert.equal(await early, 'late');
    assert.equal(await manager.getToken(), 'token-1');
    assert.equal(endpoint.requestCount, 2);
  });
});

describe('invalidateToken', { concurrency: true }, () => {
  const counted = (manager) => {
    const counters = manager.snapshot().counters;
    return [counters.invalidations, counters.invalidationsKept, counters.invalidationsIgnored];
  };

  test('drops the held token once, keeps its replacement for a second and ignores other tokens', async (t) => {
    const { endpoint, manager } = await startNumbered(t, LONG_S);
    assert.equal(manager.invalidateToken('token-1'), false);
    await manager.getToken();
    assert.equal(manager.invalidateToken('token-0'), false);
    assert.equal(manager.invalidateToken(''), false);
    assert.equal(manager.invalidateToken('token-1'), true);
    assert.equal(manager.invalidateToken('token-1'), false);
    assert.equal(await manager.getToken(), 'token-2');
    assert.equal(manager.invalidateToken('token-1'), false);
    assert.equal(manager.invalidateToken('token-2'), false);
    assert.equal(await manager.getToken(), 'token-2');
    assert.deepEqual(counted(manager), [1, 1, 5]);
    await until(() => manager.snapshot().tokenAgeSeconds > 1.1, 'the spacing is over');
    assert.equal(manager.invalidateToken('token-2'), true);
    assert.equal(await manager.getToken(), 'token-3');
    assert.equal(endpoint.requestCount, 3);
  });

  test('without an argument drops any token, and returns whether there was one', async (t) => {
    const { endpoint, manager } = await startNumbered(t, LONG_S);
    assert.equal(manager.invalidateToken(), false);
    for (const token of ['token-1', 'token-2', 'token-3']) {
      assert.equal(await manager.getToken(), token);
      assert.equal(manager.invalidateToken(), true);
      assert.equal(manager.invalidateToken(undefined), false);
    }
    assert.equal(endpoint.requestCount, 3);
    assert.deepEqual(counted(manager), [3, 0, 0]);
  });
});
