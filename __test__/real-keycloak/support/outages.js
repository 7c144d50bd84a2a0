/**
 * Helpers for the outage tests: a load on a manager, and an observer of the server. Times are in ms
 * since the epoch, like `expiresAt`.
 */
'use strict';

const assert = require('node:assert/strict');
const { setTimeout: delay } = require('node:timers/promises');

const { KeycloakTokenError } = require('../../..');
const { until } = require('../../support/manager');
const { claimsOf } = require('./keycloak');

/**
 * The longest cool-down is 6.25 s, so callers get a token within this time after the end of an
 * outage.
 */
const RECOVERED_WITHIN_MS = 8_000;
const PATIENCE_MS = 3 * 60 * 1000;
const POLL_MS = 20;
const LOOK_TIMEOUT_MS = 5_000;
/** The tolerance for a timer, or for a clock that counts whole milliseconds. */
const TOLERANCE_MS = 50;

/**
 * Makes calls at this rate, with options of `getAccessToken`, until `stop()` or the end of the
 * test.
 */
function startLoad(t, manager, perSecond, options) {
  const calls = [];
  const underWay = new Set();
  const timer = setInterval(() => {
    const observed = observe(manager, options).then((outcome) => {
      calls.push(outcome);
      underWay.delete(observed);
    });
    underWay.add(observed);
  }, 1000 / perSecond);
  const stop = async () => {
    clearInterval(timer);
    await Promise.all(underWay);
  };
  t.after(stop);
  return {
    calls,
    /** The calls that returned a token, even if its `exp`, in whole seconds, has just passed. */
    returned: () => calls.filter(({ token }) => token !== undefined),
    served: () => calls.filter(({ isServed }) => isServed),
    failed: () => calls.filter(({ error }) => error !== undefined),
    stop,
  };
}

/**
 * Makes one call and records its outcome. A call is served if its token has not expired when the
 * call settles.
 */
async function observe(manager, options) {
  const begun = Date.now();
  try {
    const { token, expiresAt } = await manager.getAccessToken(options);
    const ended = Date.now();
    return { begun, ended, token, expiresAt, isServed: claimsOf(token).exp * 1000 > ended };
  } catch (error) {
    return { begun, ended: Date.now(), error, isServed: false };
  }
}

/**
 * Asserts that calls fail only with these codes, and not while the manager can still hand out a
 * token.
 */
function assertFailures({ calls, failed }, ...codes) {
  for (const { error } of failed()) {
    assert.ok(error instanceof KeycloakTokenError, `${error?.stack}`);
    assert.ok(codes.includes(error.code), error.message);
    assert.equal(error.retryable, true, error.message);
  }
  let held = 0;
  for (const { expiresAt, error, ended } of calls) {
    held = Math.max(held, expiresAt ?? 0);
    assert.ok(error === undefined || ended >= held - TOLERANCE_MS, `${error} in spite of a token`);
  }
}

/**
 * Sends one token request after another. Records when each was `sent` and `ended`, and the `status`
 * and `retryAfter` (in seconds) of its answer.
 */
function watch(t, { tokenEndpoint, clientId, clientSecret }) {
  const looks = [];
  let isOver = false;
  const client = { client_id: clientId, client_secret: clientSecret };
  const look = async () => {
    const response = await fetch(tokenEndpoint, {
      method: 'POST',
      body: new URLSearchParams({ grant_type: 'client_credentials', ...client }),
      signal: AbortSignal.timeout(LOOK_TIMEOUT_MS),
    });
    await response.arrayBuffer();
    return { status: response.status, retryAfter: retryAfterOf(response) };
  };
  (async () => {
    while (!isOver) {
      const sent = Date.now();
      const answer = await look().catch(() => undefined);
      looks.push({ ...answer, sent, ended: Date.now() });
      await delay(POLL_MS);
    }
  })();
  t.after(() => {
    isOver = true;
  });
  return {
    looks,
    /** The first answer with this status to a request sent at or after `since`. */
    async first(status, since = 0) {
      const isMeant = (each) => each.status === status && each.sent >= since;
      await until(() => looks.some(isMeant), `the server answers ${status}`, PATIENCE_MS);
      return looks.find(isMeant);
    },
  };
}

/** The value of `Retry-After` in seconds. */
const retryAfterOf = ({ headers }) => Number(headers.get('retry-after') ?? 0);

/**
 * Asserts that a call is served within the limit after the server answers again, and ends the load.
 */
async function assertRecovery(up, load, limitMs) {
  const isFirst = ({ isServed, ended }) => isServed && ended >= up.ended;
  await until(() => load.calls.some(isFirst), 'a call is served again', PATIENCE_MS);
  await load.stop();
  const recoveryMs = load.calls.find(isFirst).ended - up.ended;
  assert.ok(recoveryMs <= limitMs, `${recoveryMs} ms`);
  return recoveryMs;
}

module.exports = {
  PATIENCE_MS,
  RECOVERED_WITHIN_MS,
  TOLERANCE_MS,
  assertFailures,
  assertRecovery,
  retryAfterOf,
  startLoad,
  watch,
};
