/**
 * A Keycloak in production mode that is still starting, hangs, and is shut down and started again
 * under load, as an upgrade does. The tests take their turns with one server.
 */
'use strict';

const assert = require('node:assert/strict');
const { before, describe, test } = require('node:test');
const { setTimeout: delay } = require('node:timers/promises');

const { KeycloakTokenError } = require('../..');
const { VERSION } = require('../../tools/keycloak');
const { releaseOf } = require('../../tools/keycloak/releases');
const { secretOf } = require('./support/keycloak');
const {
  RECOVERED_WITHIN_MS,
  clientWithLife,
  describeWithOwnKeycloak,
  ours,
  plain,
  recoveryAfter,
  requestsOf,
  row,
  startGateway,
  startLoad,
  until,
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

/** The bar where the server had last wanted to be left alone for so many seconds. */
const recoveredWithin = (longest) =>
  Math.max(RECOVERED_WITHIN_MS, Math.min(longest * 1000, HONOURED_MS) + LATE_MS);

const START = { mode: 'start', options: OPTIONS, awaitReady: false };
describeWithOwnKeycloak('a Keycloak that starts, hangs and stops', START, (keycloak) => {
  const note = (...args) => keycloak.rows.push(row(...args));

  describe('that is still starting', { skip: hasAsyncBootstrap ? false : REASON }, () => {
    let seen;
    before(async () => {
      const { tokenEndpoint } = keycloak.server;
      const clientId = 'kagenti-api';
      const client = { clientId, clientSecret: secretOf(clientId) };
      const gateways = [await startGateway(tokenEndpoint), await startGateway(tokenEndpoint)];
      const [options, plainOptions] = gateways.map((gateway) => {
        return { ...client, tokenEndpoint: gateway.tokenEndpoint };
      });
      const [manager, replaced] = [ours(options), plain(plainOptions)];
      const onlooker = watch({ ...client, tokenEndpoint });
      const starting = await onlooker.first(503);
      const load = startLoad(CALLS_PER_SECOND_AT_START, () => manager.getToken());
      const plainLoad = startLoad(CALLS_PER_SECOND_AT_START, () => replaced.getToken());
      const up = await onlooker.first(200);
      await onlooker.stop();
      const recoveryMs = await recoveryAfter(up, load);
      await Promise.all([load.stop(), plainLoad.stop()]);
      const [{ requests }] = gateways;
      const longest = onlooker.longestRetryAfter();
      seen = { load, requests, recoveryMs, longest, startingMs: up.ended - starting.ended };
      note('still starting', {
        load,
        requests: requests.length,
        recoveryMs,
        plainLoad,
        plainRequests: replaced.requests,
        times: `answered 503 for ${seen.startingMs} ms, at last with Retry-After ${seen.longest} s`,
      });
      await manager.close();
      for (const gateway of gateways) await gateway.close();
    });

    test('answers a call inside its time, or with how long to wait', () => {
      const [first] = seen.load.calls;
      assert.ok(first.isServed || first.error.status === 503, `${first.error}`);
      for (const { error } of seen.load.failed()) {
        oneOf('ERR_KEYCLOAK_HTTP')({ error });
        assert.equal(error.status, 503);
        assert.ok(error.retryAfterMs >= 0, error.message);
        assert.match(error.message, /status 503/);
      }
    });

    test('is asked again no sooner than it said', () => {
      const { requests } = seen;
      const waits = requests.slice(1).map(({ at }, index) => at - requests[index].at);
      const refused = waits.filter((_, index) => requests[index].status === 503);
      assert.ok(refused.length > 0, 'it was asked while it was starting');
      for (const [index, wait] of waits.entries()) {
        const said = Math.min((requests[index].retryAfter ?? 0) * 1000, HONOURED_MS);
        assert.ok(wait >= said - TOLERANCE_MS, `${wait} ms after it had said ${said} ms`);
      }
    });

    test('is asked a few times, and gives a token soon after it is ready', () => {
      const { requests, recoveryMs, longest } = seen;
      assert.ok(recoveryMs <= recoveredWithin(longest), `${recoveryMs} ms`);
      // It says at least one second each time; the first and the last request come on top.
      const last = seen.startingMs + Math.max(recoveryMs, 0);
      assert.ok(requests.length <= 2 + last / 1000, `${requests.length} requests`);
    });
  });

  describe('that hangs', () => {
    let seen;
    before(async () => {
      const { server } = keycloak;
      await server.ready();
      const client = await clientWithLife(server, TOKEN_LIFE_SECONDS);
      const { tokenEndpoint } = server;
      const options = { tokenEndpoint, requestTimeoutMs: REQUEST_TIMEOUT_MS, ...client };
      const [manager, late] = [ours(options), ours(options)];
      await manager.getToken();
      server.pause();
      const paused = Date.now();
      const load = startLoad(CALLS_PER_SECOND, () => manager.getAccessToken());
      const lateLoad = startLoad(CALLS_PER_SECOND, () => late.getToken());
      await until(() => load.failed().length > 0, 'the held token has ended');
      const [served, { hits }] = [load.served().length, manager.snapshot().counters];
      const resumed = Date.now();
      const onlooker = watch(options);
      server.resume();
      const up = await onlooker.first(200, resumed);
      const recoveryMs = await recoveryAfter(up, load);
      const lateRecoveryMs = await recoveryAfter(up, lateLoad);
      await Promise.all([load.stop(), lateLoad.stop(), onlooker.stop()]);
      seen = { load, lateLoad, recoveryMs, lateRecoveryMs, served, hits };
      const times = `paused for ${resumed - paused} ms`;
      note('hangs, a token is held', { load, requests: requestsOf(manager), recoveryMs, times });
      note('hangs, no token is held', {
        load: lateLoad,
        requests: requestsOf(late),
        recoveryMs: lateRecoveryMs,
        times: `the first call failed after ${lateLoad.calls[0].ended - lateLoad.calls[0].begun} ms`,
      });
      await Promise.all([manager.close(), late.close()]);
    });

    test('fails no caller while the token lives, and lets none wait', () => {
      const { load, served, hits } = seen;
      assert.deepEqual(failedWithToken(load), []);
      assert.ok(served > CALLS_PER_SECOND, `${served} calls`);
      assert.equal(hits, served, 'the held token is what they got');
    });

    test('fails callers without a token when their time is over', () => {
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

    test('gives a token within 7 s once it goes on', () => {
      for (const ms of [seen.recoveryMs, seen.lateRecoveryMs]) {
        assert.ok(ms <= RECOVERED_WITHIN_MS, `${ms} ms`);
      }
    });
  });

  describe('that is shut down under load and started again', () => {
    let seen;
    before(async () => {
      const { server } = keycloak;
      const { tokenEndpoint } = server;
      await server.ready();
      const options = { tokenEndpoint, ...(await clientWithLife(server, TOKEN_LIFE_SECONDS)) };
      const [manager, forcing, replaced] = [ours(options), ours(options), plain(options)];
      const load = startLoad(CALLS_PER_SECOND, () => manager.getAccessToken());
      const forced = startLoad(CALLS_PER_SECOND, () => forcing.getToken({ forceRefresh: true }));
      const plainLoad = startLoad(CALLS_PER_SECOND, () => replaced.getToken());
      const onlooker = watch(options);
      await onlooker.first(200);
      await delay(UNDER_LOAD_MS);
      const told = Date.now();
      await server.terminate();
      const down = Date.now();
      await server.start({ awaitReady: false });
      const up = await onlooker.first(200, down);
      const lastServed = onlooker.lastServed(down);
      const longest = onlooker.longestRetryAfter();
      const recoveryMs = await recoveryAfter(up, load);
      const forcedRecoveryMs = await recoveryAfter(up, forced);
      const requests = requestsOf(manager);
      const forcedRequests = requestsOf(forcing);
      const plainRequests = replaced.requests;
      await Promise.all([load.stop(), forced.stop(), plainLoad.stop(), onlooker.stop()]);
      seen = { load, forced, recoveryMs, forcedRecoveryMs, lastServed, longest, told };
      const failedAfter = (of) => {
        const [first] = of.failed();
        return first === undefined
          ? 'nothing failed'
          : `first failed after ${first.ended - told} ms`;
      };
      note('shut down and started', {
        load,
        requests,
        plainLoad,
        plainRequests,
        recoveryMs,
        times: `ended after ${down - told} ms, up after ${up.ended - told} ms, ${failedAfter(load)}`,
      });
      note('the same, every call a new token', {
        load: forced,
        requests: forcedRequests,
        recoveryMs: forcedRecoveryMs,
        times: `last served an onlooker after ${lastServed.ended - told} ms, ${failedAfter(forced)}`,
      });
      await Promise.all([manager.close(), forcing.close()]);
    });

    test('serves every call while a token that is valid is held', () => {
      const { load, told } = seen;
      assert.deepEqual(failedWithToken(load), []);
      assert.ok(load.served().some(({ ended }) => ended > told));
      for (const { token, isServed } of load.calls) assert.equal(isServed, token !== undefined);
    });

    test('fails calls only with errors that pass', () => {
      const { load, forced } = seen;
      for (const each of [...load.failed(), ...forced.failed()]) {
        oneOf('ERR_KEYCLOAK_NETWORK', 'ERR_KEYCLOAK_HTTP', 'ERR_KEYCLOAK_TIMEOUT')(each);
      }
    });

    test('fails no call for a new token as long as it serves anybody', () => {
      const { forced, lastServed, told } = seen;
      const early = forced.failed().filter(({ ended }) => ended < lastServed.sent);
      assert.deepEqual(early, []);
      assert.ok(forced.served().filter(({ ended }) => ended < told).length > CALLS_PER_SECOND);
    });

    test('gives tokens soon after it serves again', () => {
      for (const ms of [seen.recoveryMs, seen.forcedRecoveryMs]) {
        assert.ok(ms <= recoveredWithin(seen.longest), `${ms} ms`);
      }
    });
  });
});
