/**
 * A Keycloak that is killed while tokens are in use and comes back before they end, and callers
 * that have none while it is away. The plain class runs beside the manager, under the same load.
 */
'use strict';

const assert = require('node:assert/strict');
const { before, describe, test } = require('node:test');
const { setTimeout: delay } = require('node:timers/promises');

const {
  RECOVERED_WITHIN_MS,
  clientWithLife,
  describeWithOwnKeycloak,
  ours,
  percent,
  plain,
  recoveryAfter,
  requestsOf,
  row,
  startLoad,
  watch,
} = require('./support/outages');

const CALLS_PER_SECOND = 20;
const TOKEN_LIFE_SECONDS = 120;
/** Ages of the first token, in seconds. A start takes more than ten. */
const AGE = { killed: 50, started: 68, upFrom: 66, upUntil: 105, over: 123 };
const DOWN_AT_LEAST_MS = 20_000;

/** Tells of the outage: the loads, and the times in seconds of the first token's age. */
async function killAndStart({ server }) {
  const { tokenEndpoint } = server;
  const options = { tokenEndpoint, ...(await clientWithLife(server, TOKEN_LIFE_SECONDS)) };
  const [manager, late, replaced] = [ours(options), ours(options), plain(options)];
  const { token, issuedAt } = await manager.getAccessToken();
  await replaced.getToken();
  const load = startLoad(CALLS_PER_SECOND, () => manager.getToken());
  const plainLoad = startLoad(CALLS_PER_SECOND, () => replaced.getToken());
  const ageAt = (time) => (time - issuedAt) / 1000;
  const untilAge = (seconds) => delay(issuedAt + seconds * 1000 - Date.now());

  await untilAge(AGE.killed);
  await server.kill();
  const killed = Date.now();
  const onlooker = watch(options);
  const lateLoad = startLoad(CALLS_PER_SECOND, () => late.getToken());
  await untilAge(AGE.started);
  await server.start({ awaitReady: false });
  const up = await onlooker.first(200, killed);
  await onlooker.stop();
  const lateRecoveryMs = await recoveryAfter(up, lateLoad);
  await lateLoad.stop();
  await untilAge(AGE.over);
  await Promise.all([load.stop(), plainLoad.stop()]);

  const isNew = (call) => call.token !== undefined && call.token !== token;
  const firstNew = load.calls.find(isNew)?.ended;
  const outcome = {
    load,
    plainLoad,
    lateLoad,
    lateRecoveryMs,
    firstNew,
    up,
    counters: manager.snapshot().counters,
    requests: requestsOf(manager),
    plainRequests: replaced.requests,
    lateRequests: requestsOf(late),
    downMs: up.ended - killed,
    killedAge: ageAt(killed),
    upAge: ageAt(up.ended),
    newAge: ageAt(firstNew),
  };
  await Promise.all([manager.close(), late.close()]);
  return outcome;
}

describeWithOwnKeycloak('a Keycloak that is killed and started again', {}, (keycloak) => {
  describe('the outage', () => {
    let seen;
    before(async () => {
      seen = await killAndStart(keycloak);
      const { load, requests, plainLoad, plainRequests, lateLoad, up, firstNew } = seen;
      const age = (seconds) => `${seconds.toFixed(1)} s`;
      const times =
        `killed at age ${age(seen.killedAge)}, up at ${age(seen.upAge)}, ` +
        `first new token at ${age(seen.newAge)}`;
      const recoveryMs = firstNew - up.ended;
      keycloak.rows.push(
        row('killed, a token is held', {
          load,
          requests,
          plainLoad,
          plainRequests,
          recoveryMs,
          times,
        }),
        row('down before the first call', {
          load: lateLoad,
          requests: seen.lateRequests,
          recoveryMs: seen.lateRecoveryMs,
          times: `down for ${age(seen.downMs / 1000)}`,
        }),
      );
    });

    test('lasts from age 50 s of a token of 120 s to some age from 66 to 105 s', () => {
      const { killedAge, upAge, downMs } = seen;
      assert.ok(killedAge >= AGE.killed && killedAge < AGE.started, `killed at ${killedAge} s`);
      assert.ok(upAge >= AGE.upFrom && upAge <= AGE.upUntil, `up at ${upAge} s`);
      assert.ok(downMs >= DOWN_AT_LEAST_MS, `down for ${downMs} ms`);
    });

    test('is noticed by no caller while the held token lives', () => {
      const { load, counters } = seen;
      assert.deepEqual(load.failed(), []);
      assert.equal(load.served().length, load.calls.length);
      assert.equal(counters.hits, load.calls.length, 'nobody waits');
    });

    test('fails calls of the plain class', () => {
      assert.ok(percent(seen.plainLoad) < 100, 'the plain class serves every call');
    });

    test('is over for the manager within 7 s, with nobody waiting for the new token', () => {
      const { firstNew, up } = seen;
      assert.ok(firstNew - up.ended <= RECOVERED_WITHIN_MS, `${firstNew - up.ended} ms`);
    });

    test('is over within 7 s for callers that never had a token', () => {
      const { lateLoad, lateRecoveryMs } = seen;
      assert.ok(lateRecoveryMs <= RECOVERED_WITHIN_MS, `${lateRecoveryMs} ms`);
      const codes = new Set(lateLoad.failed().map(({ error }) => error.code));
      assert.deepEqual([...codes], ['ERR_KEYCLOAK_NETWORK']);
      for (const { error } of lateLoad.failed()) assert.equal(error.retryable, true);
    });
  });
});
