'use strict';

// As defects.test.js, for the defects in telling whether a token is still valid. They step
// `Date.now`, the only clock of the plain class, so they run one after the other and in a file of
// their own.

const assert = require('node:assert/strict');
const { mock, test } = require('node:test');
const { setTimeout: lapse } = require('node:timers/promises');
const { augment, grant, open, ours } = require('./support/defects.js');

/** Makes `Date.now` wrong by `seconds()` until the test ends. */
function stepDate(t, seconds) {
  const read = Date.now;
  const stub = mock.method(Date, 'now', () => read() + seconds() * 1000);
  t.after(() => stub.mock.restore());
  return stub;
}

test('RA-5: a valid token is served while Keycloak is down', async (t) => {
  const downAfterFirst = (life) => (n) => (n === 1 ? { expiresIn: life } : { status: 503 });

  let step = 0;
  const stub = stepDate(t, () => step);
  const plain = augment(t, await open(t, downAfterFirst(300)));
  await plain.getToken();
  step = 241;
  await assert.rejects(plain.getToken(), /status 503/, 'though the token lives for 59 s more');
  assert.equal(plain.endpoint.requestCount, 2);
  stub.mock.restore();

  // Stale from 3 s on, handed out until 5 s.
  const manager = ours(t, await open(t, downAfterFirst(6)));
  const token = await manager.getToken();
  await lapse(3300);
  assert.equal(manager.snapshot().state, 'stale');
  assert.equal(await manager.getToken(), token);
  await manager.endpoint.waitForRequests(2);
  assert.equal(await manager.getToken(), token);
  assert.equal(manager.snapshot().counters.staleServed, 2);
});

test('RA-8: a token of two seconds is not served after them', async (t) => {
  const short = () => ({ expiresIn: 2 });
  const plain = augment(t, await open(t, short));
  const manager = ours(t, await open(t, short));
  const [plainToken, token] = await Promise.all([plain.getToken(), manager.getToken()]);
  await lapse(2100);

  assert.equal(await plain.getToken(), plainToken, 'expired, and served');
  assert.equal(plain.endpoint.requestCount, 1);

  assert.notEqual(await manager.getToken(), token);
  assert.equal(manager.endpoint.requestCount, 2);
});

test('RA-9: a wall clock set back does not lengthen the life of a token', async (t) => {
  let step = 0;
  stepDate(t, () => step);
  const plain = augment(t, await open(t));
  const plainToken = await plain.getToken();
  step = -3600 + 301;
  assert.equal(await plain.getToken(), plainToken, 'a token of 300 s, after 301 s');
  step = -3600 + 301 + 3500;
  assert.equal(await plain.getToken(), plainToken, 'and after 3801 s');
  assert.equal(plain.endpoint.requestCount, 1);

  // Native code reads the clocks of the system, so neither `Date` nor fake timers reach it.
  step = 0;
  const manager = ours(t, await open(t, () => ({ expiresIn: 2 })));
  const token = await manager.getToken();
  step = 3600;
  mock.timers.enable({ apis: ['setTimeout', 'setInterval'] });
  t.after(() => mock.timers.reset());
  mock.timers.tick(3_600_000);
  assert.equal(
    await manager.getToken(),
    token,
    'still held when the script clock is an hour ahead',
  );
  assert.equal(manager.endpoint.requestCount, 1);
  step = -3600;
  await lapse(2100);
  assert.notEqual(await manager.getToken(), token, 'replaced when it is an hour behind');
});

test('RA-10: a lifetime given as a numeric string counts', async (t) => {
  const asString = (_n, endpoint) => grant(endpoint, '3600', 3600);

  let step = 0;
  const stub = stepDate(t, () => step);
  const plain = augment(t, await open(t, asString));
  await plain.getToken();
  step = 11;
  await plain.getToken();
  assert.equal(plain.endpoint.requestCount, 2, 'kept for 10 s of 3600 s');
  stub.mock.restore();

  const manager = ours(t, await open(t, asString));
  const { expiresAt, issuedAt, token } = await manager.getAccessToken();
  assert.equal(expiresAt - issuedAt, 3_599_000);
  assert.equal(await manager.getTokenForStreaming(3_500_000), token);
  const { secondsToSoftExpiry } = manager.snapshot();
  assert.ok(secondsToSoftExpiry > 3530 && secondsToSoftExpiry <= 3540, `${secondsToSoftExpiry} s`);
  assert.equal(manager.endpoint.requestCount, 1);
});
