'use strict';

// What callers do to a held token: have it replaced, dropped, or rejected by a resource server.

const assert = require('node:assert/strict');
const { describe, test } = require('node:test');
const { rejection, startNumbered, times, tokenResponse, until } = require('./support/manager.js');

const REFUSAL = { status: 400, body: { error: 'invalid_scope' } };
const LONG_S = 300;

const forced = { forceRefresh: true };

describe('forceRefresh', { concurrency: true }, () => {
  test('gives a new token that is kept, and its callers share a request', async (t) => {
    const { endpoint, manager } = await startNumbered(t, LONG_S);
    await manager.getToken();
    const tokens = await Promise.all(times(10, () => manager.getToken(forced)));
    assert.deepEqual(new Set(tokens), new Set(['token-2']));
    assert.equal(await manager.getToken(), 'token-2');
    assert.equal(endpoint.requestCount, 2);
  });

  test('joins a flight, and leaves the held token to others meanwhile', async (t) => {
    const { endpoint, manager } = await startNumbered(t, LONG_S);
    endpoint.pause();
    const both = [manager.getToken(), manager.getToken(forced)];
    endpoint.resume();
    assert.deepEqual(await Promise.all(both), ['token-1', 'token-1']);
    endpoint.pause();
    const refreshed = manager.getAccessToken(forced);
    await endpoint.waitForRequests(2);
    assert.equal(await manager.getToken(), 'token-1');
    endpoint.resume();
    assert.equal((await refreshed).token, 'token-2');
  });

  test('throws its failure, and the held token stays for those who did not insist', async (t) => {
    const { endpoint, manager } = await startNumbered(t, LONG_S);
    await manager.getToken();
    endpoint.pause();
    endpoint.answerNext(REFUSAL);
    const insisting = manager.getToken(forced);
    const modest = manager.getToken({ minValiditySeconds: 1_000 });
    endpoint.resume();
    await rejection(insisting, 'ERR_KEYCLOAK_OAUTH');
    assert.equal(await modest, 'token-1');
    assert.equal(await manager.getToken(), 'token-1');
    assert.equal(endpoint.requestCount, 2);
  });

  test('keeps the held token if the new one would die before it', async (t) => {
    const { endpoint, manager } = await startNumbered(t, LONG_S);
    await manager.getToken();
    endpoint.setAnswer({ body: tokenResponse('short', 100) });
    assert.equal(await manager.getToken(forced), 'short');
    assert.equal(await manager.getToken(), 'token-1');
    assert.equal(endpoint.requestCount, 2);
  });
});

describe('clearCache', { concurrency: true }, () => {
  test('drops the token, and says nothing', async (t) => {
    const { endpoint, manager } = await startNumbered(t, LONG_S);
    await manager.getToken();
    assert.equal(manager.clearCache(), undefined);
    assert.equal(manager.snapshot().state, 'empty');
    assert.equal(await manager.getToken(), 'token-2');
    assert.equal(endpoint.requestCount, 2);
  });

  test('detaches a request, which answers its callers and is not stored', async (t) => {
    const { endpoint, manager } = await startNumbered(t, LONG_S);
    endpoint.pause();
    const early = [manager.getToken(), manager.getAccessToken()];
    await endpoint.waitForRequests(1);
    manager.clearCache();
    endpoint.resume();
    assert.equal(await early[0], 'token-1');
    assert.equal((await early[1]).token, 'token-1');
    assert.equal(manager.snapshot().state, 'empty');
    assert.equal(await manager.getToken(), 'token-2');
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

  test('drops the held token once, keeps its replacement for a second, ignores others', async (t) => {
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

  test('keeps a replacement longer if the last one was refused as well', async (t) => {
    const { endpoint, manager } = await startNumbered(t, LONG_S);
    const isOlder = (seconds) => () => manager.snapshot().tokenAgeSeconds > seconds;
    await manager.getToken();
    assert.equal(manager.invalidateToken('token-1'), true);
    await manager.getToken();
    assert.equal(manager.invalidateToken('token-2'), false);
    await until(isOlder(1.1), 'the first spacing is over');
    assert.equal(manager.invalidateToken('token-2'), true);
    await manager.getToken();
    await until(isOlder(1.1), 'a second is over');
    assert.equal(manager.invalidateToken('token-3'), false);
    await until(isOlder(2.1), 'the second spacing is over');
    assert.equal(manager.invalidateToken('token-3'), true);
    assert.equal(endpoint.requestCount, 3);
  });

  test('without an argument drops whatever there is, and says whether there was', async (t) => {
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

  test('keeps the token in a cool-down', async (t) => {
    const { endpoint, manager } = await startNumbered(t, LONG_S);
    await manager.getToken();
    endpoint.answerNext(REFUSAL);
    await rejection(manager.getToken(forced), 'ERR_KEYCLOAK_OAUTH');
    assert.equal(manager.invalidateToken('token-1'), false);
    assert.equal(await manager.getToken(), 'token-1');
    assert.deepEqual(counted(manager), [0, 1, 0]);
    assert.equal(manager.invalidateToken(), true);
    await rejection(manager.getToken(), 'ERR_KEYCLOAK_OAUTH');
  });
});
