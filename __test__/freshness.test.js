'use strict';

// How long a token is handed out, and what replaces it. Lives are short, so that they end while a
// test runs: of 4 s the soft end is after 2 s, the hard end after 3 s; of 2 s, after 1 s and 1.5 s.

const assert = require('node:assert/strict');
const { describe, test } = require('node:test');
const { KeycloakTokenManager } = require('..');
const { startFakeTokenEndpointProcess } = require('./support/fault-server.js');
const { startNumbered, start, times, tokenResponse, until } = require('./support/manager.js');

const REFUSAL = { status: 400, body: { error: 'invalid_scope' } };
const LONG_S = 300;

const forced = { forceRefresh: true };

/** A token that says of itself how long it lives. */
function jwt(seconds, iat = 1_000_000) {
  const encode = (value) => Buffer.from(JSON.stringify(value)).toString('base64url');
  return `${encode({ alg: 'none' })}.${encode({ iat, exp: iat + seconds })}.x`;
}

/** Blocks the event loop. */
function block(ms) {
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, ms);
}

describe('a token that comes to its end while the event loop is blocked', () => {
  test('is given to nobody: those who wait get another', async (t) => {
    const endpoint = await startFakeTokenEndpointProcess({ expiresIn: 2 });
    t.after(() => endpoint.close());
    const clientSecret = 'test-secret';
    const { tokenEndpoint } = endpoint;
    const manager = new KeycloakTokenManager({
      tokenEndpoint,
      clientId: 'test-client',
      clientSecret,
    });
    t.after(() => manager.close());
    const waiting = [
      manager.getToken(),
      manager.getToken(),
      manager.getAccessToken().then(({ token }) => token),
      manager.getToken({ signal: new AbortController().signal }),
    ];
    block(3_500);
    const tokens = new Set(await Promise.all(waiting));
    assert.equal(tokens.size, 1);
    const { exp } = JSON.parse(Buffer.from([...tokens][0].split('.')[1], 'base64url'));
    assert.ok(exp * 1000 > Date.now());
    assert.equal((await endpoint.stats()).requestCount, 2);
  });
});

describe('the background refresh', { concurrency: true }, () => {
  test('replaces a token that was handed out, before its soft end, with nobody asking', async (t) => {
    const { endpoint, manager } = await startNumbered(t, 4);
    await manager.getToken();
    assert.equal(await manager.getToken(), 'token-1');
    const [first, second] = await endpoint.waitForRequests(2);
    const age = second.at - first.at;
    assert.ok(age >= 0.91 * 2_000 - 20 && age < 2_500, `${age}`);
    await until(() => manager.snapshot().tokenAgeSeconds < 1, 'the new token is there');
    assert.equal(await manager.getToken(), 'token-2');
    assert.equal(manager.snapshot().counters.staleServed, 0);
  });

  test('is made also when the hand-out took options', async (t) => {
    const { endpoint, manager } = await startNumbered(t, 2);
    await manager.getToken();
    await manager.getToken({ minValiditySeconds: 0.1 });
    await endpoint.waitForRequests(2);
    assert.equal(manager.snapshot().counters.acquisitions, 2);
  });

  for (const [name, options, isUsed] of [
    ['of a token that nobody asked for again', {}, false],
    ['when it is switched off', { backgroundRefresh: false }, true],
  ]) {
    test(`is not made ${name}`, async (t) => {
      const { endpoint, manager } = await startNumbered(t, 4, options);
      await manager.getToken();
      if (isUsed) await manager.getToken();
      await until(() => manager.snapshot().state === 'empty', 'the token is over');
      assert.equal(endpoint.requestCount, 1);
      assert.equal(await manager.getToken(), 'token-2');
    });
  }

  test('keeps nobody waiting who has no wish, also if it was started by one who has', async (t) => {
    const { endpoint, manager } = await startNumbered(t, 4, { backgroundRefresh: false });
    await manager.getToken();
    await until(() => manager.snapshot().state === 'stale', 'the token is stale');
    endpoint.pause();
    const streaming = manager.getTokenForStreaming(60_000);
    await endpoint.waitForRequests(2);
    assert.equal(await manager.getToken(), 'token-1');
    assert.equal((await manager.getAccessToken()).token, 'token-1');
    endpoint.resume();
    assert.equal(await streaming, 'token-2');
  });

  test('is started by a caller who gets a stale token, if it is switched off', async (t) => {
    const { endpoint, manager } = await startNumbered(t, 4, { backgroundRefresh: false });
    await manager.getToken();
    await until(() => manager.snapshot().state === 'stale', 'the token is stale');
    assert.equal(await manager.getToken(), 'token-1');
    await endpoint.waitForRequests(2);
    await until(() => manager.snapshot().state === 'fresh', 'the new token is there');
    assert.equal(await manager.getToken(), 'token-2');
    assert.equal(endpoint.requestCount, 2);
    assert.ok(manager.snapshot().counters.staleServed >= 1);
  });

  test('that fails is tried again, and the token given while it lives', async (t) => {
    const { endpoint, manager, at } = await startNumbered(t, 6);
    await manager.getToken();
    assert.equal(await manager.getToken(), 'token-1');
    endpoint.answerNext(REFUSAL);
    await endpoint.waitForRequests(2);
    await until(() => at('warn').length > 0, 'the failure is logged');
    assert.equal(await manager.getToken(), 'token-1');
    await endpoint.waitForRequests(3);
    await until(() => at('info').length > 0, 'it has recovered');
    assert.equal(await manager.getToken(), 'token-2');
  });

  test('never lets a token live longer than the server said', async (t) => {
    const { endpoint, manager } = await start(t);
    const givenAt = new Map();
    endpoint.setAnswer(({ at }) => {
      const token = `token-${givenAt.size}`;
      givenAt.set(token, at);
      return givenAt.size > 3 ? REFUSAL : { body: tokenResponse(token, 2), delayMs: 50 };
    });
    let oldest = 0;
    let isOver = false;
    while (!isOver) {
      const token = await manager.getToken().catch(({ code }) => {
        assert.equal(code, 'ERR_KEYCLOAK_OAUTH');
        isOver = true;
      });
      if (!isOver) oldest = Math.max(oldest, Date.now() - givenAt.get(token));
      await new Promise(setImmediate);
    }
    assert.ok(oldest > 1_300 && oldest < 1_750, `${oldest}`);
    assert.equal(manager.snapshot().state, 'failing');
  });
});

describe('minValiditySeconds', { concurrency: true }, () => {
  test('that no token meets costs one request, and gives what there is with one warning', async (t) => {
    const { endpoint, manager, at } = await startNumbered(t, LONG_S);
    const minimum = { minValiditySeconds: 1_000 };
    const tokens = await Promise.all(times(20, () => manager.getToken(minimum)));
    for (const _ of times(20)) tokens.push(await manager.getToken(minimum));
    tokens.push(await manager.getTokenForStreaming(Number.POSITIVE_INFINITY));
    assert.deepEqual(new Set(tokens), new Set(['token-1']));
    assert.equal(endpoint.requestCount, 1);
    assert.equal(at('warn').length, 1, at('warn').join('\n'));
    assert.match(at('warn')[0], /minValiditySeconds/);
  });

  test('that the held token misses causes one request, and the better token is kept', async (t) => {
    const { endpoint, manager, at } = await startNumbered(t, LONG_S);
    await manager.getToken();
    endpoint.setAnswer({ body: tokenResponse('long', 3_600) });
    assert.equal(await manager.getToken({ minValiditySeconds: 1_000 }), 'long');
    assert.equal(await manager.getToken({ minValiditySeconds: 3_000 }), 'long');
    assert.equal(await manager.getToken(), 'long');
    assert.equal(endpoint.requestCount, 2);
    assert.deepEqual(at('warn'), []);
  });

  test('counts to the hard end, not to the soft one', async (t) => {
    const { endpoint, manager, at } = await startNumbered(t, LONG_S);
    assert.equal(await manager.getToken({ minValiditySeconds: 298 }), 'token-1');
    assert.equal(await manager.getToken({ minValiditySeconds: 290 }), 'token-1');
    assert.equal(endpoint.requestCount, 1);
    assert.deepEqual(at('warn'), []);
  });

  test('whose request fails gives the valid token, with a warning', async (t) => {
    const { endpoint, manager, at } = await startNumbered(t, LONG_S);
    await manager.getToken();
    endpoint.setAnswer(REFUSAL);
    assert.equal(await manager.getToken({ minValiditySeconds: 1_000 }), 'token-1');
    assert.equal(await manager.getToken({ minValiditySeconds: 1_000 }), 'token-1');
    assert.equal(endpoint.requestCount, 2);
    assert.equal(at('warn').filter((line) => line.includes('minValiditySeconds')).length, 1);
  });

  test('is asked for again when the pause is over', async (t) => {
    const { endpoint, manager } = await startNumbered(t, 8);
    const minimum = { minValiditySeconds: 1_000 };
    assert.equal(await manager.getToken(minimum), 'token-1');
    await until(() => manager.snapshot().tokenAgeSeconds > 5, 'the pause is over');
    assert.equal(await manager.getToken(minimum), 'token-2');
    assert.equal(endpoint.requestCount, 2);
  });
});

describe('the lifetime', { concurrency: true }, () => {
  const DAY = 86_400;
  for (const [name, token, expiresIn, expected, warnings = 0] of [
    ['an integer', 'opaque', 300, 299],
    ['a fraction', 'opaque', 300.5, 299.5],
    ['a numeric string', 'opaque', '300', 299],
    ['a word, and a token that says it', jwt(120), 'abc', 119],
    ['absent, and a token that says it', jwt(120), undefined, 119],
    ['null, and a token that says it', jwt(120), null, 119],
    ['longer than the token says', jwt(120), 300, 119],
    ['shorter than the token says', jwt(300), 120, 119],
    ['absent, and a token that does not say it', 'opaque', undefined, 9, 1],
    ['a word, and a token that does not say it', 'opaque', 'abc', 9, 1],
    ['a year', 'opaque', 365 * DAY, DAY - 1],
    ['a second', 'opaque', 1, 0.75],
    ['less than a second', 'opaque', 1e-9, 0.75],
    ['zero, and a token that does not say it', 'opaque', 0, 9, 1],
    ['zero, and a token that says it', jwt(120), 0, 119],
    ['a negative number', 'opaque', -5, 9, 1],
    ['a negative numeric string', 'opaque', '-1', 9, 1],
    ['a number, and a token that is over when it is made', jwt(-103), 300, 299],
  ]) {
    test(`is right for ${name}`, async (t) => {
      const { endpoint, manager, at } = await start(t);
      endpoint.setAnswer({ body: tokenResponse(token, expiresIn) });
      for (const _ of times(2)) {
        const { issuedAt, expiresAt } = await manager.getAccessToken(forced);
        assert.ok(Math.abs(expiresAt - issuedAt - expected * 1_000) <= 1);
      }
      assert.equal(at('warn').length, warnings, at('warn').join('\n'));
    });
  }

  test('that is over on arrival gives the token to those who waited', async (t) => {
    const { endpoint, manager } = await start(t);
    endpoint.setAnswer({ body: tokenResponse('late', 1), delayMs: 1_050 });
    assert.equal(await manager.getToken(), 'late');
    assert.equal(manager.snapshot().state, 'empty');
  });
});

// By itself: the endpoints of the others are blocked as well.
test('no token is left to those who come after the event loop was blocked', async (t) => {
  const { endpoint, manager } = await startNumbered(t, 1);
  await manager.getToken();
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 1_000);
  assert.equal(manager.snapshot().state, 'empty');
  assert.equal(await manager.getToken(), 'token-2');
  assert.equal(endpoint.requestCount, 2);
});
