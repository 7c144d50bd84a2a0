'use strict';

// A manager's log lines and snapshots.

const assert = require('node:assert/strict');
const { describe, test } = require('node:test');
const { KeycloakTokenManager } = require('..');
const {
  CLIENT,
  delay,
  recorder,
  rejection,
  start,
  startNumbered,
  times,
  unhandledRejections,
  until,
} = require('./support/manager.js');

const REFUSAL = { status: 400, body: { error: 'invalid_scope' } };
const PLAIN = 'http://keycloak.example/realms/r/protocol/openid-connect/token';
const SECURE = PLAIN.replace('http:', 'https:');

const forced = { forceRefresh: true };
const levels = (lines) => lines.map(({ level }) => level);

describe('log lines', { concurrency: true }, () => {
  test('report each acquired token at debug level, and no hit', async (t) => {
    const { manager, lines } = await start(t, { name: 'a\nname' });
    await manager.getToken();
    await Promise.all(times(50, () => manager.getToken()));
    await manager.getToken(forced);
    manager.clearCache();
    assert.deepEqual(levels(lines), ['debug', 'debug']);
    for (const { message } of lines) assert.match(message, /"a\\nname".*acquired .* 300 s$/);
  });

  test('report only the first of several failed refreshes at warn level, and the recovery at info level', async (t) => {
    const { endpoint, manager, lines, at } = await startNumbered(t, 300);
    await manager.getToken();
    for (const isSecondRow of [false, true]) {
      endpoint.answerNext(REFUSAL, REFUSAL);
      for (const _ of isSecondRow ? [1] : [1, 2]) {
        const call = manager.getToken(forced);
        const { retryAfterMs } = await rejection(call, 'ERR_KEYCLOAK_OAUTH');
        await rejection(manager.getToken(forced), 'ERR_KEYCLOAK_OAUTH');
        await delay(retryAfterMs + 20);
      }
      endpoint.restore();
      await manager.getToken(forced);
    }
    const row = ['warn', 'info', 'debug'];
    assert.deepEqual(levels(lines), ['debug', ...row, ...row]);
    for (const message of at('warn')) {
      assert.match(message, /refresh failed: ERR_KEYCLOAK_OAUTH.*status 400.*cached token/);
    }
    for (const message of at('info')) assert.match(message, /recovered/);
  });

  for (const [name, tokenEndpoint, options, text] of [
    ['plain http', PLAIN, {}, /plain http/],
    ['skipTlsVerify', SECURE, { skipTlsVerify: true }, /skipTlsVerify/],
    ['NODE_TLS_REJECT_UNAUTHORIZED=0', SECURE, {}, /NODE_TLS_REJECT_UNAUTHORIZED=0/],
    ['https', SECURE, {}],
    ['plain http to loopback', 'http://localhost/token', {}],
  ]) {
    test(`${text ? 'warn about' : 'do not warn about'} ${name}`, async () => {
      const { logger, lines } = recorder();
      const [variable, value] = name.split('=');
      const given = process.env[variable];
      if (value !== undefined) process.env[variable] = value;
      const manager = new KeycloakTokenManager({ ...CLIENT, tokenEndpoint, logger, ...options });
      if (given === undefined) delete process.env[variable];
      else process.env[variable] = given;
      manager.snapshot();
      manager.clearCache();
      await manager.close();
      assert.deepEqual(levels(lines), text ? ['warn'] : []);
      if (text) assert.match(lines[0].message, text);
    });
  }

  test('for a logger that throws or rejects are lost, with no other effect', async (t) => {
    const reasons = unhandledRejections(t);
    const calls = [];
    const fail = (level) => () => {
      calls.push(level);
      throw new Error('the disk is full');
    };
    const reject = async () => fail('rejected')();
    const logger = { error: fail('error'), warn: fail('warn'), info: reject, debug: fail('debug') };
    const { endpoint, open } = await start(t);
    await open({ logger, tokenEndpoint: PLAIN }).close();
    const manager = open({ logger });
    const tokens = await Promise.all([manager.getToken(), manager.getAccessToken()]);
    assert.equal(tokens[1].token, tokens[0]);
    endpoint.answerNext(REFUSAL);
    const { retryAfterMs } = await rejection(manager.getToken(forced), 'ERR_KEYCLOAK_OAUTH');
    await delay(retryAfterMs + 20);
    await manager.getToken(forced);
    assert.deepEqual(calls, ['warn', 'debug', 'warn', 'rejected', 'debug']);
    assert.deepEqual(reasons, []);
  });

  test('reach logger methods that use `this` and call the manager', async (t) => {
    class Logger {
      inside = [];
      error() {}
      warn() {}
      info() {}
      debug() {
        this.inside.push(manager.getToken(), manager.snapshot().state);
        if (this.inside.length > 2) return;
        manager.clearCache();
      }
    }
    const { endpoint, open } = await start(t);
    const logger = new Logger();
    const manager = open({ logger });
    const first = await manager.getToken();
    assert.equal(await logger.inside[0], first);
    assert.equal(logger.inside[1], 'fresh');
    assert.notEqual(await manager.getToken(), first, 'the cleared token is not kept');
    assert.equal(endpoint.requestCount, 2);
  });
});

describe('snapshot', { concurrency: true }, () => {
  const NAMES = 'hits joins acquisitions retries staleServed invalidations invalidationsKept';
  const NO_COUNTS = Object.fromEntries(
    `${NAMES} invalidationsIgnored suppressed storeHits storeFailures`
      .split(' ')
      .map((name) => [name, 0]),
  );

  test('of a new manager has a name, a state and counters, all at zero', async (t) => {
    const { manager } = await start(t, { name: 'a name' });
    assert.deepEqual(manager.snapshot(), {
      name: 'a name',
      state: 'empty',
      counters: NO_COUNTS,
      acquisitionLatencyMs: { count: 0, sum: 0, max: 0, last: 0 },
    });
  });

  test('has the states empty, fresh, stale, failing and closed', async (t) => {
    const { endpoint, manager } = await startNumbered(t, 2, { backgroundRefresh: false });
    const state = () => manager.snapshot().state;
    endpoint.pause();
    const first = manager.getToken();
    await endpoint.waitForRequests(1);
    assert.equal(state(), 'empty');
    endpoint.resume();
    await first;
    assert.equal(state(), 'fresh');
    await until(() => state() === 'stale', 'the token is stale');
    endpoint.setAnswer(REFUSAL);
    const { secondsToSoftExpiry, secondsToHardExpiry } = manager.snapshot();
    assert.ok(secondsToSoftExpiry <= 0 && secondsToSoftExpiry > -0.5, `${secondsToSoftExpiry}`);
    assert.ok(secondsToHardExpiry > 0 && secondsToHardExpiry <= 0.5, `${secondsToHardExpiry}`);
    assert.equal(await manager.getToken(), 'token-1');
    await until(() => state() === 'failing', 'the token has expired and the refresh has failed');
    const { counters, ...failing } = manager.snapshot();
    assert.equal(failing.lastFailure.code, 'ERR_KEYCLOAK_OAUTH');
    for (const name of ['tokenAgeSeconds', 'secondsToSoftExpiry', 'secondsToHardExpiry']) {
      assert.ok(!(name in failing), name);
    }
    assert.deepEqual(counters, { ...NO_COUNTS, hits: 1, acquisitions: 2, staleServed: 1 });
    await manager.close();
    assert.equal(state(), 'closed');
  });

  test("has the token's times, the times of the last success and failure, and the latencies", async (t) => {
    const { endpoint, manager } = await start(t, {}, { delayMs: 60 });
    const before = Date.now();
    const { issuedAt } = await manager.getAccessToken();
    const after = Date.now();
    const { tokenAgeSeconds, secondsToSoftExpiry, secondsToHardExpiry, ...rest } =
      manager.snapshot();
    const age = (Date.now() - issuedAt) / 1_000;
    assert.ok(Math.abs(tokenAgeSeconds - age) < 0.05, `${tokenAgeSeconds}`);
    assert.ok(Math.abs(tokenAgeSeconds + secondsToSoftExpiry - 240) < 0.001);
    assert.ok(Math.abs(tokenAgeSeconds + secondsToHardExpiry - 299) < 0.001);
    assert.ok(rest.lastSuccessAt >= before && rest.lastSuccessAt <= after);
    assert.ok(!('lastFailure' in rest));
    const one = rest.acquisitionLatencyMs;
    assert.ok(one.last >= 59 && one.last < 1_000, `${one.last}`);
    assert.deepEqual(one, { count: 1, sum: one.last, max: one.last, last: one.last });

    endpoint.answerNext({ ...REFUSAL, delayMs: 0 });
    await rejection(manager.getToken(forced), 'ERR_KEYCLOAK_OAUTH');
    const { state, lastSuccessAt, lastFailure, acquisitionLatencyMs: two } = manager.snapshot();
    assert.equal(state, 'fresh');
    assert.equal(lastSuccessAt, rest.lastSuccessAt);
    assert.equal(lastFailure.code, 'ERR_KEYCLOAK_OAUTH');
    assert.ok(lastFailure.at >= after && lastFailure.at <= Date.now());
    assert.deepEqual([two.count, two.max], [2, one.max]);
    assert.ok(two.last < one.last);
    assert.ok(Math.abs(two.sum - one.last - two.last) < 0.001, `${two.sum}`);
  });
});
