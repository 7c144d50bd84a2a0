/**
 * A Keycloak in production mode that is still starting, hangs, and is shut down and started again
 * under load, as an upgrade does. The tests take their turns with one server.
 */
'use strict';

const assert = require('node:assert/strict');
const { before, describe, test } = require('node:test');
const { setTimeout: delay } = require('node:timers/promises');

const { KeycloakTokenError, KeycloakTokenManager } = require('../..');
const { VERSION } = require('../../tools/keycloak');
const { releaseOf } = require('../../tools/keycloak/releases');
const { until } = require('../support/manager');
const { describeWithKeycloak, secretOf } = require('./support/keycloak');
const {
  PATIENCE_MS,
  RECOVERED_WITHIN_MS,
  clientWithLife,
  recoveryAfter,
  startGateway,
  startLoad,
  watch,
} = require('./support/outages');

const { hasAsyncBootstrap } = releaseOf(VERSION);
const OPTIONS = hasAsyncBootstrap ? ['--server-async-bootstrap=true'] : [];
const REASON = `Keycloak ${VERSION}: it accepts no request before it can serve it`;

const CALLS_PER_SECOND = 100;
const CALLS_PER_SECOND_AT_START = 20;
/** With the default buffer such a token is replaced after four seconds and kept for seven. */
const TOKEN_LIFE_SECONDS = 8;
const REQUEST_TIMEOUT_MS = 2_000;
/** Of a timer, or a clock in whole milliseconds. */
const TOLERANCE_MS = 50;
/** How late a busy machine may be. */
const LATE_MS = 1_500;
/**
 * The most that a `Retry-After` is heeded. Keycloak's is the time since its start began, at most a
 * minute, so that a long start is asked ever more seldom.
 */
const HONOURED_MS = 30_000;
const UNDER_LOAD_MS = 2_000;

const oneOf =
  (...codes) =>
  ({ error }) => {
    assert.ok(error instanceof KeycloakTokenError, `${error?.stack}`);
    assert.ok(codes.includes(error.code), error.message);
    assert.equal(error.retryable, true, error.message);
  };

/** The failed calls that ended while a token that an earlier call got could still be handed out. */
function failedWithToken({ calls }) {
  let held = 0;
  return calls.filter(({ expiresAt, error, ended }) => {
    held = Math.max(held, expiresAt ?? 0);
    return error !== undefined && ended < held - TOLERANCE_MS;
  });
}

/** The limit after a `Retry-After` of the given number of seconds. */
const recoveredWithin = (longest) =>
  Math.max(RECOVERED_WITHIN_MS, Math.min(longest * 1000, HONOURED_MS) + LATE_MS);

const START = { mode: 'start', options: OPTIONS, awaitReady: false };
describeWithKeycloak('a Keycloak that', { own: START }, (keycloak) => {
  describe('is still starting', { skip: hasAsyncBootstrap ? false : REASON }, () => {
    let seen;
    before(async () => {
      const { tokenEndpoint } = keycloak;
      const clientId = 'kagenti-api';
      const client = { clientId, clientSecret: secretOf(clientId) };
      const gateway = await startGateway(tokenEndpoint);
      const manager = new KeycloakTokenManager({ ...client, tokenEndpoint: gateway.tokenEndpoint });
      const observer = watch({ ...client, tokenEndpoint });
      const starting = await observer.first(503);
      const load = startLoad(CALLS_PER_SECOND_AT_START, () => manager.getToken());
      const up = await observer.first(200);
      await observer.stop();
      const recoveryMs = await recoveryAfter(up, load);
      await load.stop();
      const { requests } = gateway;
      const longest = observer.longestRetryAfter();
      seen = { load, requests, recoveryMs, longest, startingMs: up.ended - starting.ended };
      await manager.close();
      await gateway.close();
    });

    test('answers a call with a token, or with the time to wait', () => {
      const [first] = seen.load.calls;
      assert.ok(first.isServed || first.error.status === 503, `${first.error}`);
      for (const { error } of seen.load.failed()) {
        oneOf('ERR_KEYCLOAK_HTTP')({ error });
        assert.equal(error.status, 503);
        assert.ok(error.retryAfterMs >= 0, error.message);
        assert.match(error.message, /status 503/);
      }
    });

    test('gets no request before its Retry-After is over', () => {
      const { requests } = seen;
      const waits = requests.slice(1).map(({ at }, index) => at - requests[index].at);
      const refused = waits.filter((_, index) => requests[index].status === 503);
      assert.ok(refused.length > 0, 'there were requests during the start');
      for (const [index, wait] of waits.entries()) {
        const said = Math.min((requests[index].retryAfter ?? 0) * 1000, HONOURED_MS);
        assert.ok(wait >= said - TOLERANCE_MS, `${wait} ms after a Retry-After of ${said} ms`);
      }
    });

    test('gets few requests, and one soon after it is ready', () => {
      const { requests, recoveryMs, longest } = seen;
      assert.ok(recoveryMs <= recoveredWithin(longest), `${recoveryMs} ms`);
      // It says at least one second each time; the first and the last request come on top.
      const last = seen.startingMs + Math.max(recoveryMs, 0);
      assert.ok(requests.length <= 2 + last / 1000, `${requests.length} requests`);
    });
  });

  describe('hangs', () => {
    let seen;
    before(async () => {
      const { tokenEndpoint, process } = keycloak;
      await process.ready();
      const client = await clientWithLife(keycloak, TOKEN_LIFE_SECONDS);
      const options = { tokenEndpoint, requestTimeoutMs: REQUEST_TIMEOUT_MS, ...client };
      const manager = new KeycloakTokenManager(options);
      const late = new KeycloakTokenManager(options);
      await manager.getToken();
      process.pause();
      const load = startLoad(CALLS_PER_SECOND, () => manager.getAccessToken());
      const lateLoad = startLoad(CALLS_PER_SECOND, () => late.getToken());
      await until(() => load.failed().length > 0, 'the held token has expired', PATIENCE_MS);
      const [served, { hits }] = [load.served().length, manager.snapshot().counters];
      const resumed = Date.now();
      const observer = watch(options);
      process.resume();
      const up = await observer.first(200, resumed);
      const recoveryMs = await recoveryAfter(up, load);
      const lateRecoveryMs = await recoveryAfter(up, lateLoad);
      await Promise.all([load.stop(), lateLoad.stop(), observer.stop()]);
      seen = { load, lateLoad, recoveryMs, lateRecoveryMs, served, hits };
      await Promise.all([manager.close(), late.close()]);
    });

    test('neither fails nor delays a caller while the token lives', () => {
      const { load, served, hits } = seen;
      assert.deepEqual(failedWithToken(load), []);
      assert.ok(served > CALLS_PER_SECOND, `${served} calls`);
      assert.equal(hits, served, 'the held token is what they got');
    });

    test('fails callers without a token at their deadline', () => {
      const { load, lateLoad } = seen;
      for (const each of [...load.failed(), ...lateLoad.failed()]) {
        oneOf('ERR_KEYCLOAK_TIMEOUT')(each);
      }
      const [first] = lateLoad.calls;
      const tookMs = first.ended - first.begun;
      assert.ok(tookMs >= REQUEST_TIMEOUT_MS - TOLERANCE_MS, `${tookMs} ms`);
      assert.ok(tookMs <= REQUEST_TIMEOUT_MS + LATE_MS, `${tookMs} ms`);
      assert.match(first.error.message, new RegExp(`${REQUEST_TIMEOUT_MS}`));
    });

    test('serves managers within 8 s once it continues', () => {
      for (const ms of [seen.recoveryMs, seen.lateRecoveryMs]) {
        assert.ok(ms <= RECOVERED_WITHIN_MS, `${ms} ms`);
      }
    });
  });

  describe('is shut down under load and started again', () => {
    let seen;
    before(async () => {
      const { tokenEndpoint, process } = keycloak;
      await process.ready();
      const options = { tokenEndpoint, ...(await clientWithLife(keycloak, TOKEN_LIFE_SECONDS)) };
      const manager = new KeycloakTokenManager(options);
      const forcing = new KeycloakTokenManager(options);
      const load = startLoad(CALLS_PER_SECOND, () => manager.getAccessToken());
      const forced = startLoad(CALLS_PER_SECOND, () => forcing.getToken({ forceRefresh: true }));
      const observer = watch(options);
      await observer.first(200);
      await delay(UNDER_LOAD_MS);
      const terminated = Date.now();
      await process.terminate();
      const down = Date.now();
      await process.start({ awaitReady: false });
      const up = await observer.first(200, down);
      const lastServed = observer.lastServed(down);
      const longest = observer.longestRetryAfter();
      const recoveryMs = await recoveryAfter(up, load);
      const forcedRecoveryMs = await recoveryAfter(up, forced);
      await Promise.all([load.stop(), forced.stop(), observer.stop()]);
      seen = { load, forced, recoveryMs, forcedRecoveryMs, lastServed, longest, terminated };
      await Promise.all([manager.close(), forcing.close()]);
    });

    test('serves every call while a valid token is held', () => {
      const { load, terminated } = seen;
      assert.deepEqual(failedWithToken(load), []);
      assert.ok(load.served().some(({ ended }) => ended > terminated));
      for (const { token, isServed } of load.calls) assert.equal(isServed, token !== undefined);
    });

    test('fails calls only with retryable errors', () => {
      const { load, forced } = seen;
      for (const each of [...load.failed(), ...forced.failed()]) {
        oneOf('ERR_KEYCLOAK_NETWORK', 'ERR_KEYCLOAK_HTTP', 'ERR_KEYCLOAK_TIMEOUT')(each);
      }
    });

    test('fails no call for a new token while it serves requests', () => {
      const { forced, lastServed, terminated } = seen;
      const early = forced.failed().filter(({ ended }) => ended < lastServed.sent);
      assert.deepEqual(early, []);
      assert.ok(
        forced.served().filter(({ ended }) => ended < terminated).length > CALLS_PER_SECOND,
      );
    });

    test('serves managers soon after its start', () => {
      for (const ms of [seen.recoveryMs, seen.forcedRecoveryMs]) {
        assert.ok(ms <= recoveredWithin(seen.longest), `${ms} ms`);
      }
    });
  });
});
