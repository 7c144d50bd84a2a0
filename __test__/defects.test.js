'use strict';

// Each test runs one scenario twice: the class that this package replaces (bench/baseline) is seen
// to fail, and ours is seen to be right. RA stands for a defect of the augment class, RB for one of
// the boost client; the numbers are labels.

const assert = require('node:assert/strict');
const { describe, test } = require('node:test');
const { inspect } = require('node:util');
const { KeycloakTokenError } = require('..');
const { augment, failure, gate, open, ours, recorder } = require('./support/defects.js');

const times = (count, make) => Array.from({ length: count }, make);

describe('the augment class and ours', { concurrency: true, timeout: 30_000 }, () => {
  test('RA-1: a request begun before clearCache() does not disturb a later one', async (t) => {
    const overtaken = async (make) => {
      const [first, later] = [gate(), gate()];
      const endpoint = await open(t, (n) => (n === 1 ? first : later).opened);
      const manager = make(t, endpoint);
      const a = manager.getToken();
      await endpoint.waitForRequests(1);
      manager.clearCache();
      const b = manager.getToken();
      await endpoint.waitForRequests(2);
      first.open();
      const tokens = [await a];
      const c = manager.getToken();
      return { endpoint, later, manager, tokens, rest: [b, c] };
    };

    const plain = await overtaken(augment);
    await plain.endpoint.waitForRequests(3);
    plain.later.open();
    plain.tokens.push(...(await Promise.all(plain.rest)));
    assert.equal(new Set(plain.tokens).size, 3);
    assert.equal(plain.endpoint.requestCount, 3);

    const right = await overtaken(ours);
    right.later.open();
    right.tokens.push(...(await Promise.all(right.rest)));
    const [a, b, c] = right.tokens;
    assert.notEqual(a, b);
    assert.equal(c, b);
    assert.equal(await right.manager.getToken(), b);
    assert.equal(right.endpoint.requestCount, 2);
  });

  test('RA-2: fifty 401 for one revoked token cost one token request', async (t) => {
    const plain = augment(t, await open(t));
    await plain.getToken();
    for (const _ of times(50)) {
      plain.clearCache();
      await plain.getToken();
    }
    assert.equal(plain.endpoint.requestCount, 51, 'one after the other');
    await Promise.all(
      times(50, () => {
        plain.clearCache();
        return plain.getToken();
      }),
    );
    assert.equal(plain.endpoint.requestCount, 101, 'all in one tick');

    const oneByOne = ours(t, await open(t));
    const revoked = await oneByOne.getToken();
    const dropped = [];
    for (const _ of times(50)) {
      dropped.push(oneByOne.invalidateToken(revoked));
      assert.notEqual(await oneByOne.getToken(), revoked);
    }
    assert.deepEqual(dropped, [true, ...times(49, () => false)]);
    assert.equal(oneByOne.endpoint.requestCount, 2);

    const atOnce = ours(t, await open(t));
    const refused = await atOnce.getToken();
    const tokens = await Promise.all(
      times(50, () => {
        atOnce.invalidateToken(refused);
        return atOnce.getToken();
      }),
    );
    assert.equal(new Set(tokens).size, 1);
    assert.ok(!tokens.includes(refused));
    assert.equal(atOnce.endpoint.requestCount, 2);
  });

  test('RA-3: streams that want all the life there is do not refetch at each start', async (t) => {
    const starts = async (manager, minLifetimeMs) => {
      await manager.getToken();
      for (const _ of times(20)) {
        await manager.getTokenForStreaming(minLifetimeMs);
      }
      return manager.endpoint.requestCount;
    };

    // 240 s are within the life of 300 s, 300 s can never be left of it.
    assert.equal(await starts(augment(t, await open(t)), 240_000), 21);
    assert.equal(await starts(augment(t, await open(t)), 300_000), 21);

    assert.equal(await starts(ours(t, await open(t)), 240_000), 1);
    const logger = recorder();
    assert.equal(await starts(ours(t, await open(t), { logger }), 300_000), 2);
    await logger.written('warn');
    assert.equal(logger.at('warn').length, 1);
  });

  test('RA-4: a stream that cannot have a better token leaves the good one in place', async (t) => {
    const downAfterFirst = (n) => (n === 1 ? undefined : { status: 503 });

    const plain = augment(t, await open(t, downAfterFirst));
    await plain.getToken();
    await assert.rejects(plain.getTokenForStreaming(300_000), /status 503/);
    await assert.rejects(plain.getToken(), /status 503/);
    assert.equal(plain.endpoint.requestCount, 3);

    const manager = ours(t, await open(t, downAfterFirst));
    const token = await manager.getToken();
    assert.equal(await manager.getTokenForStreaming(300_000), token);
    assert.equal(await manager.getToken(), token);
    assert.equal(
      manager.endpoint.requestCount,
      4,
      'one request, then one acquisition of three attempts',
    );
  });

  test('RA-6: a body that drips does not hold callers beyond the deadline', async (t) => {
    const endpoint = await open(t, () => ({ fault: 'drip', dripMs: 100 }));

    const plain = augment(t, endpoint, { timeoutMs: 1000 });
    const waiting = times(5, () => plain.getToken());
    const manager = ours(t, endpoint, { requestTimeoutMs: 1000 });
    const started = performance.now();
    const errors = await Promise.all(times(5, () => failure(manager.getToken())));
    const took = performance.now() - started;
    assert.deepEqual(new Set(errors.map(({ code }) => code)), new Set(['ERR_KEYCLOAK_TIMEOUT']));
    assert.ok(took >= 950 && took < 2500, `${took} ms`);
    assert.equal(endpoint.requestCount, 2, 'one request each');

    const late = new Promise((resolve) => setTimeout(resolve, 3000 - took, 'pending'));
    assert.equal(
      await Promise.race([...waiting, late]),
      'pending',
      'after three times the timeout',
    );
    await endpoint.close();
    await Promise.all(waiting.map(failure));
  });

  test('RA-12: a hundred calls with a wrong secret are one failed login', async (t) => {
    const rotated = { clientSecret: 'the-old-one' };
    const hundredErrors = async (manager) => {
      const errors = [];
      for (const _ of times(100)) {
        errors.push(await failure(manager.getToken()));
      }
      return errors;
    };

    const plain = augment(t, await open(t), rotated);
    await hundredErrors(plain);
    assert.equal(plain.endpoint.requestCount, 100);

    const manager = ours(t, await open(t), rotated);
    for (const error of await hundredErrors(manager)) {
      assert.equal(error.code, 'ERR_KEYCLOAK_OAUTH');
      assert.equal(error.oauthError, 'unauthorized_client');
      assert.ok(error.retryAfterMs > 0 && error.retryAfterMs <= 1250, `${error.retryAfterMs} ms`);
    }
    assert.equal(manager.endpoint.requestCount, 1);
    assert.equal(manager.snapshot().counters.suppressed, 99);
  });

  test('RA-13: a refusal, a rate limit and an outage can be told apart', async (t) => {
    const refused = (endpoint) => endpoint.setSecret('test-client', 'a-new-one');
    const limited = (endpoint) =>
      endpoint.setAnswer({ status: 429, headers: { 'retry-after': '20' } });
    const down = (endpoint) => endpoint.setAnswer({ status: 503 });
    const errorOf = async (make, fail) => {
      const endpoint = await open(t);
      fail(endpoint);
      const error = await failure(make(t, endpoint).getToken());
      return { ...described(error), requests: endpoint.requestCount };
    };
    const described = (error) => ({
      message: error.message.replace(/\d{3}/, 'NNN'),
      typed: error instanceof KeycloakTokenError,
      code: error.code,
      status: error.status,
      retryable: error.retryable,
      oauthError: error.oauthError,
      attempts: error.attempts,
      retryAfterMs: error.retryAfterMs,
      clientId: error.clientId,
    });

    const plain = await errorOf(augment, refused);
    assert.equal(plain.typed, false);
    assert.equal(plain.code ?? plain.status ?? plain.retryable ?? plain.oauthError, undefined);
    assert.deepEqual(await errorOf(augment, limited), plain, 'the very same error');
    assert.deepEqual(await errorOf(augment, down), plain, 'the very same error');

    const { message, retryAfterMs, ...refusal } = await errorOf(ours, refused);
    assert.match(message, /status NNN.*unauthorized_client/s);
    assert.ok(retryAfterMs > 0 && retryAfterMs <= 1250, `${retryAfterMs} ms`);
    assert.deepEqual(refusal, {
      typed: true,
      code: 'ERR_KEYCLOAK_OAUTH',
      status: 401,
      retryable: false,
      oauthError: 'unauthorized_client',
      attempts: 1,
      clientId: 'test-client',
      requests: 1,
    });
    const limit = await errorOf(ours, limited);
    assert.equal(limit.code, 'ERR_KEYCLOAK_HTTP');
    assert.equal(limit.status, 429);
    assert.equal(limit.retryable, true);
    assert.equal(limit.requests, 1, 'what the server asks for does not fit into the deadline');
    assert.ok(limit.retryAfterMs > 19_000 && limit.retryAfterMs <= 30_000);
    const outage = await errorOf(ours, down);
    assert.equal(outage.code, 'ERR_KEYCLOAK_HTTP');
    assert.equal(outage.status, 503);
    assert.equal(outage.retryable, true);
    assert.equal(outage.attempts, 3);
    assert.equal(outage.requests, 3);
  });

  test('RA-14: a gateway that echoes the form puts no secret into log or error', async (t) => {
    const clientSecret = 'canary-7f3a91c2';
    const form = `grant_type=client_credentials&client_secret=${clientSecret}`;
    const echo = () => ({ status: 502, body: `Bad gateway. The request was: ${form}` });

    const plainLog = recorder();
    const plain = augment(t, await open(t, echo), { clientSecret, logger: plainLog });
    await failure(plain.getToken());
    assert.ok(plainLog.at('error').some((line) => line.includes(clientSecret)));

    const log = recorder();
    const manager = ours(t, await open(t, echo), { clientSecret, logger: log });
    const error = await failure(manager.getToken());
    assert.equal(error.status, 502);
    const seen = [...log.all(), String(error), error.stack, JSON.stringify(error)].concat(
      inspect(error, { depth: 9, showHidden: true }),
      inspect(manager, { depth: 9, showHidden: true }),
      JSON.stringify(manager.snapshot()),
    );
    assert.deepEqual(
      seen.filter((text) => text?.includes(clientSecret)),
      [],
    );
  });

  test('RA-15: a redirect to a login page is called a redirect', async (t) => {
    const login = await open(t);
    const toLogin = () => ({ status: 302, headers: { location: login.tokenEndpoint } });

    const plain = augment(t, await open(t, toLogin));
    const misled = await failure(plain.getToken());
    assert.equal(misled.message, 'Failed to parse Keycloak token response');

    const manager = ours(t, await open(t, toLogin));
    const error = await failure(manager.getToken());
    assert.equal(error.code, 'ERR_KEYCLOAK_PROTOCOL');
    assert.equal(error.status, 302);
    assert.equal(error.retryable, false);
    assert.match(error.message, /302/);
    assert.equal(manager.endpoint.requestCount, 1);
    assert.equal(login.requestCount, 0);
  });

  test('RA-17: a kept connection that died in the meantime costs no caller an error', async (t) => {
    // The second request is the first one that a kept connection carries.
    const dieOnReuse = (n) => (n === 2 ? { fault: 'reset' } : undefined);

    const plain = augment(t, await open(t, dieOnReuse));
    await plain.getToken();
    plain.clearCache();
    const error = await failure(plain.getToken());
    assert.equal(error.code, 'ECONNRESET');
    const connections = ({ endpoint }) => endpoint.requests.map(({ connection }) => connection);
    assert.deepEqual(connections(plain), [1, 1]);

    const manager = ours(t, await open(t, dieOnReuse));
    const first = await manager.getToken();
    manager.clearCache();
    assert.notEqual(await manager.getToken(), first);
    assert.deepEqual(connections(manager), [1, 1, 2]);
  });
});
