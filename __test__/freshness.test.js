'use strict';

// The use and replacement of a token over its lifetime. Lifetimes are short, so that they end while
// a test runs. A 4 s token becomes stale after 2 s and expires after 3 s; a 2 s token becomes stale
// after 1 s and expires after 1.5 s. `crates/manager/src/slot/tests.rs` checks the rules one by
// one.

const assert = require('node:assert/strict');
const { describe, test } = require('node:test');
const { run } = require('./programs');
const { start, startNumbered, times, tokenResponse, until } = require('./support/manager.js');

const REFUSAL = { status: 400, body: { error: 'invalid_scope' } };
const LONG_S = 300;

/** A token that contains its own lifetime. */
function jwt(seconds, iat = Math.floor(Date.now() / 1_000)) {
  const encode = (value) => Buffer.from(JSON.stringify(value)).toString('base64url');
  return `${encode({ alg: 'none' })}.${encode({ iat, exp: iat + seconds })}.x`;
}

test('callers get a new token if the old one expires while the event loop is blocked', async (t) => {
  const { endpoint } = await start(t, {}, { expiresIn: 2 });
  const program = run(t, 'blocked.js', [endpoint.tokenEndpoint, 'past the life', 3_500]);
  const { count, left } = await program.result();
  assert.equal(count, 1);
  assert.ok(left > 0, `${left} s`);
  assert.equal(endpoint.requestCount, 2);
});

test('callers get the error of a failed refresh if the token expires while the event loop is blocked', async (t) => {
  const { endpoint } = await start(t, {}, { expiresIn: 2 });
  endpoint.setAnswer(REFUSAL);
  endpoint.answerNext({});
  const args = [endpoint.tokenEndpoint, 'past the life of the held token', 3_500];
  const program = run(t, 'blocked.js', args);
  assert.deepEqual(await program.result(), { code: 'ERR_KEYCLOAK_OAUTH' });
});

describe('the background refresh', { concurrency: true }, () => {
  test('replaces a used token before its soft expiry, without a call', async (t) => {
    const { endpoint, manager } = await startNumbered(t, 4);
    await manager.getToken();
    assert.equal(await manager.getToken(), 'token-1');
    const { issuedAt } = await manager.getAccessToken();
    const [, second] = await endpoint.waitForRequests(2);
    // The age counts from the start of the request, and the first use of `fetch` may be slow.
    const age = second.at - issuedAt;
    assert.ok(age >= 0.91 * 2_000 - 20 && age < 2_500, `${age}`);
    await until(() => manager.snapshot().tokenAgeSeconds < 1, 'the new token has arrived');
    assert.equal(await manager.getToken(), 'token-2');
    assert.equal(manager.getToken(), manager.getToken());
    assert.equal(manager.snapshot().counters.staleServed, 0);
  });

  test('also follows a call with options', async (t) => {
    const { endpoint, manager } = await startNumbered(t, 2);
    await manager.getToken();
    await manager.getToken({ minValiditySeconds: 0.1 });
    await endpoint.waitForRequests(2);
    assert.equal(manager.snapshot().counters.acquisitions, 2);
  });

  test('waits for a call with a stale token while backgroundRefresh is false', async (t) => {
    const { endpoint, manager } = await startNumbered(t, 4, { backgroundRefresh: false });
    await manager.getToken();
    await until(() => manager.snapshot().state === 'stale', 'the token is stale');
    assert.equal(endpoint.requestCount, 1);
    endpoint.pause();
    const streaming = manager.getTokenForStreaming(60_000);
    await endpoint.waitForRequests(2);
    assert.equal(await manager.getToken(), 'token-1', 'a caller without a minimum does not wait');
    assert.equal((await manager.getAccessToken()).token, 'token-1');
    endpoint.resume();
    assert.equal(await streaming, 'token-2');
    assert.equal(await manager.getToken(), 'token-2');
    assert.equal(endpoint.requestCount, 2);
    assert.ok(manager.snapshot().counters.staleServed >= 1);
  });
});

describe('minValiditySeconds', () => {
  test('above the validity of the held token causes one request, and the manager keeps the new token', async (t) => {
    const { endpoint, manager, at } = await startNumbered(t, LONG_S);
    await manager.getToken();
    assert.equal(await manager.getToken({ minValiditySeconds: 298 }), 'token-1');
    endpoint.answerNext({ body: tokenResponse('long', 3_600) });
    assert.equal(await manager.getToken({ minValiditySeconds: 1_000 }), 'long');
    assert.equal(await manager.getToken(), 'long');
    assert.deepEqual(at('warn'), []);
    endpoint.setAnswer(REFUSAL);
    for (const _ of times(20)) assert.equal(await manager.getTokenForStreaming(4e6), 'long');
    assert.equal(endpoint.requestCount, 3);
    assert.equal(at('warn').filter((line) => line.includes('minValiditySeconds')).length, 1);
    assert.match(at('warn').join(), /\(minValiditySeconds\) failed/);
  });

  test('above the validity of every token causes one warning, not one for each token', async (t) => {
    const { endpoint, manager, at } = await startNumbered(t, LONG_S);
    for (const _ of times(3)) {
      await manager.getToken({ minValiditySeconds: 4e3 });
      await manager.getToken({ forceRefresh: true, minValiditySeconds: 4e3 });
    }
    assert.ok(endpoint.requestCount >= 4);
    assert.equal(at('warn').filter((line) => line.includes('minValiditySeconds')).length, 1);
  });
});

// `crates/oauth/src/lifetime.rs` lists the lifetimes that a server may state.
describe('the lifetime', { concurrency: true }, () => {
  for (const [name, token, expiresIn, expected, warning] of [
    ['a fractional expires_in', 'opaque', 300.5, 299.5],
    ["an expires_in above the token's exp", jwt(120), 300, 119],
    ['an opaque token without expires_in', 'opaque', undefined, 9, /expires_in/],
    ['an opaque token with a negative expires_in', 'opaque', -103, 9, /access token lifespan/],
    ['a token that expired days ago', jwt(300, 1_000_000), 300, 9, /access token lifespan/],
  ]) {
    test(`is right for ${name}`, async (t) => {
      const { endpoint, manager, at } = await start(t);
      endpoint.setAnswer({ body: tokenResponse(token, expiresIn) });
      for (const _ of times(2)) {
        const { issuedAt, expiresAt } = await manager.getAccessToken({ forceRefresh: true });
        assert.ok(Math.abs(expiresAt - issuedAt - expected * 1_000) <= 1);
      }
      assert.equal(at('warn').length, warning === undefined ? 0 : 1, at('warn').join('\n'));
      if (warning !== undefined) assert.match(at('warn')[0], warning);
    });
  }

  test('does not include the time that the answer spent in a cache', async (t) => {
    const { endpoint, manager } = await start(t);
    endpoint.setAnswer({ body: tokenResponse('cached', 300), headers: { age: '100, 5' } });
    const { issuedAt, expiresAt } = await manager.getAccessToken();
    assert.equal(Math.round((expiresAt - issuedAt) / 1_000), 199);
  });

  test('that ended in a cache causes one more request, a second later', async (t) => {
    const { endpoint, manager, at } = await start(t);
    const headers = { age: '400' };
    endpoint.answerNext(
      { body: tokenResponse('cached', 300), headers },
      { body: tokenResponse('fresh', 300) },
    );
    const begin = performance.now();
    assert.equal(await manager.getToken(), 'fresh');
    assert.ok(performance.now() - begin >= 999);
    assert.deepEqual(at('warn'), []);
    endpoint.setAnswer({ body: tokenResponse('cached', 300), headers });
    manager.clearCache();
    assert.equal(await manager.getToken(), 'cached', 'the second one is handed out, and not kept');
    assert.equal(manager.snapshot().state, 'empty');
    assert.match(at('warn').join(), /Age header.+no cache answers token requests/);
  });

  test('does not restart if the server returns the same token again', async (t) => {
    const { endpoint, manager } = await start(t);
    endpoint.setAnswer({ body: tokenResponse('repeated', 300) });
    const first = await manager.getAccessToken();
    manager.clearCache();
    assert.deepEqual(await manager.getAccessToken(), first);
    assert.equal(endpoint.requestCount, 2);
  });

  test('restarts with one warning if the server returns a token again after its expiry', async (t) => {
    const { endpoint, manager, at } = await start(t);
    endpoint.setAnswer({ body: tokenResponse('double', 1) });
    const first = await manager.getAccessToken();
    await until(() => manager.snapshot().state === 'empty', 'the token has expired');
    const second = await manager.getAccessToken();
    assert.ok(second.issuedAt > first.issuedAt);
    await until(() => manager.snapshot().state === 'empty', 'the token has expired again');
    await manager.getToken();
    assert.equal(at('warn').length, 1, at('warn').join('\n'));
    assert.match(at('warn')[0], /same token again/);
  });

  test('that ended before the answer arrived causes one more request, but no second one', async (t) => {
    const { endpoint, manager } = await start(t);
    const late = (name) => ({ body: tokenResponse(name, 1), delayMs: 1_050 });
    endpoint.answerNext(late('first'), late('second'));
    const { signal } = new AbortController();
    const calls = [manager.getToken(), manager.getToken(), manager.getToken({ signal })];
    assert.deepEqual(await Promise.all(calls), Array(3).fill('second'));
    assert.equal(manager.snapshot().state, 'empty');
    assert.match(await manager.getToken(), /^ey/);
    assert.equal(endpoint.requestCount, 3);
  });
});
