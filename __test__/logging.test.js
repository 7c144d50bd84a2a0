'use strict';

// The reports of a manager: log lines and snapshots.

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
  tokenResponse,
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

  test('report the first failed refresh of a row at warn level, and the recovery at info level', async (t) => {
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
      assert.match(message, /refresh failed: ERR_KEYCLOAK_OAUTH.*status 400.*held token/);
    }
    for (const message of at('info')) assert.match(message, /recovered/);
  });

  test('report a failed first acquisition', async (t) => {
    const { endpoint, manager, lines } = await start(t);
    endpoint.setAnswer(REFUSAL);
    await rejection(manager.getToken(), 'ERR_KEYCLOAK_OAUTH');
    assert.deepEqual(levels(lines), ['warn']);
    assert.doesNotMatch(lines[0].message, /held token/);
  });

  test('report an assumed lifetime once for many tokens', async (t) => {
    const { endpoint, manager, at } = await start(t);
    endpoint.setAnswer({ body: tokenResponse('opaque') });
    for (const _ of times(3)) await manager.getToken(forced);
    assert.equal(at('warn').length, 1);
    assert.match(at('warn')[0], /assuming 10 s/);
  });

  for (const [name, tokenEndpoint, options, texts] of [
    ['plain http', PLAIN, {}, [/plain http/]],
    ['skipTlsVerify', SECURE, { skipTlsVerify: true }, [/skipTlsVerify/]],
    ['https', SECURE, {}, []],
    ['plain http to loopback', 'http://localhost/token', {}, []],
    ['plain http to ::1', 'http://[::1]:8080/token', {}, []],
  ]) {
    test(`${texts.length === 1 ? 'warn of' : 'do not warn of'} ${name}`, async () => {
      const { logger, lines } = recorder();
      const manager = new KeycloakTokenManager({ ...CLIENT, tokenEndpoint, logger, ...options });
      manager.snapshot();
      manager.clearCache();
      await manager.close();
      assert.deepEqual(
        levels(lines),
        texts.map(() => 'warn'),
      );
      for (const [index, text] of texts.entries()) assert.match(lines[index].message, text);
    });
  }

  test('warn of NODE_TLS_REJECT_UNAUTHORIZED=0 once', async (t) => {
    const name = 'NODE_TLS_REJECT_UNAUTHORIZED';
    const given = process.env[name];
    const restore = () => {
      if (given === undefined) delete process.env[name];
      else process.env[name] = given;
    };
    t.after(restore);
    const { logger, lines } = recorder();
    process.env[name] = '0';
    const manager = new KeycloakTokenManager({ ...CLIENT, tokenEndpoint: SECURE, logger });
    restore();
    await manager.close();
    assert.deepEqual(levels(lines), ['warn']);
    assert.match(lines[0].message, /NODE_TLS_REJECT_UNAUTHORIZED=0/);
  });

  test('are lost, and nothing else is, if the logger throws', async (t) => {
    const calls = [];
    const fail = (level) => () => {
      calls.push(level);
      throw new Error('the disk is full');
    };
    const logger = {
      error: fail('error'),
      warn: fail('warn'),
      info: fail('info'),
      debug: fail('debug'),
    };
    const { endpoint, open } = await start(t);
    await open({ logger, tokenEndpoint: PLAIN }).close();
    const manager = open({ logger });
    const tokens = await Promise.all([manager.getToken(), manager.getAccessToken()]);
    assert.equal(tokens[1].token, tokens[0]);
    endpoint.answerNext(REFUSAL);
    const { retryAfterMs } = await rejection(manager.getToken(forced), 'ERR_KEYCLOAK_OAUTH');
    await delay(retryAfterMs + 20);
    await manager.getToken(forced);
    assert.deepEqual(calls, ['warn', 'debug', 'warn', 'info', 'debug']);
  });

  test('may come to methods that use `this` and call the manager', async (t) => {
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

  test('are lost, and nothing else is, if the logger rejects', async (t) => {
    const reasons = [];
    const note = (reason) => reasons.push(reason);
    process.on('unhandledRejection', note);
    t.after(() => process.off('unhandledRejection', note));
    const fail = async () => {
      throw new Error('the disk is full');
    };
    const { open } = await start(t);
    await open({ logger: { error: fail, warn: fail, info: fail, debug: fail } }).getToken();
    await new Promise((resolve) => setImmediate(() => setImmediate(resolve)));
    assert.deepEqual(reasons, []);
  });

  test('stop with close', async (t) => {
    const { endpoint, manager, lines } = await start(t);
    await manager.getToken();
    endpoint.pause();
    const call = manager.getToken(forced);
    await endpoint.waitForRequests(2);
    await manager.close();
    await rejection(call, 'ERR_KEYCLOAK_CLOSED');
    endpoint.resume();
    assert.deepEqual(levels(lines), ['debug']);
  });
});

describe('snapshot', { concurrency: true }, () => {
  const NO_COUNTS = {
    hits: 0,
    joins: 0,
    acquisitions: 0,
    retries: 0,
    staleServed: 0,
    invalidations: 0,
    invalidationsKept: 0,
    invalidationsIgnored: 0,
    suppressed: 0,
  };

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
    await until(() => state() === 'failing', 'the token is over and the refresh has failed');
    const { counters, ...failing } = manager.snapshot();
    assert.equal(failing.lastFailure.code, 'ERR_KEYCLOAK_OAUTH');
    for (const name of ['tokenAgeSeconds', 'secondsToSoftExpiry', 'secondsToHardExpiry']) {
      assert.ok(!(name in failing), name);
    }
    assert.deepEqual(counters, { ...NO_COUNTS, hits: 1, acquisitions: 2, staleServed: 1 });
    await manager.close();
    assert.equal(state(), 'closed');
  });

  test('has the times of the token, of the last success and failure, and the latencies', async (t) => {
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
