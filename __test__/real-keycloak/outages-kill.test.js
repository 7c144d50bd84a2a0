/**
 * A Keycloak that is killed while tokens are in use and comes back before they end, and callers
 * without a token during the outage.
 */
'use strict';

const assert = require('node:assert/strict');
const { before, describe, test } = require('node:test');
const { setTimeout: delay } = require('node:timers/promises');

const { KeycloakTokenManager } = require('../..');
const { describeWithKeycloak } = require('./support/keycloak');
const {
  RECOVERED_WITHIN_MS,
  clientWithLife,
  recoveryAfter,
  startLoad,
  watch,
} = require('./support/outages');

const CALLS_PER_SECOND = 20;
const TOKEN_LIFE_SECONDS = 240;
/**
 * Ages of the first token, in seconds: its refresh is due at 164 to 180. A start takes more than
 * ten, and up to a minute beside a compiler.
 */
const AGE = { killed: 150, started: 166, upUntil: 230, over: 242 };
const DOWN_AT_LEAST_MS = 15_000;

/** The loads on two managers during the outage, and the times. */
async function killAndStart(server) {
  const { tokenEndpoint } = server;
  const options = { tokenEndpoint, ...(await clientWithLife(server, TOKEN_LIFE_SECONDS)) };
  const [manager, late] = [new KeycloakTokenManager(options), new KeycloakTokenManager(options)];
  const { token, issuedAt } = await manager.getAccessToken();
  const load = startLoad(CALLS_PER_SECOND, () => manager.getToken());
  const untilAge = (seconds) => delay(issuedAt + seconds * 1000 - Date.now());

  await untilAge(AGE.killed);
  await server.process.kill();
  const killed = Date.now();
  const observer = watch(options);
  const lateLoad = startLoad(CALLS_PER_SECOND, () => late.getToken());
  await untilAge(AGE.started);
  await server.process.start({ awaitReady: false });
  const up = await observer.first(200, killed);
  await observer.stop();
  const lateRecoveryMs = await recoveryAfter(up, lateLoad);
  await lateLoad.stop();
  await untilAge(AGE.over);
  await load.stop();

  const isNew = (call) => call.token !== undefined && call.token !== token;
  const outcome = {
    load,
    lateLoad,
    lateRecoveryMs,
    recoveryMs: load.calls.find(isNew)?.ended - up.ended,
    hits: manager.snapshot().counters.hits,
    downMs: up.ended - killed,
    upAge: (up.ended - issuedAt) / 1000,
  };
  await Promise.all([manager.close(), late.close()]);
  return outcome;
}

describeWithKeycloak('a Keycloak that is killed and started again', { own: {} }, (keycloak) => {
  describe('has an outage that', () => {
    let seen;
    before(async () => {
      seen = await killAndStart(keycloak);
    });

    test('ends before the held token does', (t) => {
      const { upAge, downMs } = seen;
      t.diagnostic(`down for ${downMs} ms, up at age ${upAge} s of the token`);
      assert.ok(upAge <= AGE.upUntil, `up at ${upAge} s`);
      assert.ok(downMs >= DOWN_AT_LEAST_MS, `down for ${downMs} ms`);
    });

    test('no caller notices while the held token lives', () => {
      const { load, hits } = seen;
      assert.deepEqual(load.failed(), []);
      assert.equal(load.served().length, load.calls.length);
      assert.equal(hits, load.calls.length, 'no caller waits');
    });

    test('is over within 8 s for the manager, without a waiting caller', () => {
      assert.ok(seen.recoveryMs <= RECOVERED_WITHIN_MS, `${seen.recoveryMs} ms`);
    });

    test('is over within 8 s for callers without a token', () => {
      const { lateLoad, lateRecoveryMs } = seen;
      assert.ok(lateRecoveryMs <= RECOVERED_WITHIN_MS, `${lateRecoveryMs} ms`);
      const codes = new Set(lateLoad.failed().map(({ error }) => error.code));
      assert.deepEqual([...codes], ['ERR_KEYCLOAK_NETWORK']);
      for (const { error } of lateLoad.failed()) assert.equal(error.retryable, true);
    });
  });
});
