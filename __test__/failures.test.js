'use strict';

// Failures between a manager and its endpoint, and their effects on callers.

const assert = require('node:assert/strict');
const { once } = require('node:events');
const http = require('node:http');
const { describe, test } = require('node:test');
const { gzipSync } = require('node:zlib');
const {
  delay,
  numbered,
  openManager,
  rejection,
  start,
  startEndpoint,
  times,
  tokenJson,
} = require('./support/manager.js');

const UNAVAILABLE = { status: 503, body: 'Service Unavailable' };
/** The slack, in ms, for clocks that count whole milliseconds and for timers that fire late. */
const TOLERANCE_MS = 20;
// The manager makes no fourth attempt, because half of this time limit has passed by then.
const IMPATIENT = { requestTimeoutMs: 1_200 };
const LONGEST_FIRST_COOLDOWN_MS = 1_250;

const json = (status, error, description) => ({
  status,
  body: { error, error_description: description },
});

test('the manager sends a query in the endpoint and does not show it', async (t) => {
  const { endpoint, open } = await start(t);
  const tokenEndpoint = `${endpoint.tokenEndpoint}?p=canary`;
  const manager = open({ tokenEndpoint, clientSecret: 'no' });
  const error = await rejection(manager.getToken(), 'ERR_KEYCLOAK_OAUTH');
  assert.equal(error.tokenEndpoint, endpoint.tokenEndpoint);
  assert.ok(!error.message.includes('canary'));
});

// One answer for each kind of error; `crates/oauth/src/response.rs` lists the other answers.
describe('the error', { concurrency: true }, () => {
  const oauth = { code: 'ERR_KEYCLOAK_OAUTH', retryable: false, attempts: 1 };
  const refused = { code: 'ERR_KEYCLOAK_HTTP', retryable: false, attempts: 1 };
  const again = { retryable: true, attempts: 3 };
  const passing = { code: 'ERR_KEYCLOAK_HTTP', ...again };
  const network = { code: 'ERR_KEYCLOAK_NETWORK', ...again };
  const temporary = json(400, 'temporarily_unavailable');
  for (const [name, answer, expected, advice = /./] of [
    ['400', json(400, 'invalid_scope', 'Invalid scopes: x'), { ...oauth, status: 400 }],
    ['no realm', json(404, 'Realm does not exist'), { ...refused, status: 404 }],
    ['a 403 page', { status: 403, body: '<html></html>' }, { ...refused, status: 403 }],
    ['429', json(429, 'slow_down'), { ...passing, status: 429 }],
    ['a 502 page', { status: 502, body: '<html></html>' }, { ...passing, status: 502 }],
    ['503', UNAVAILABLE, { ...passing, status: 503 }, /check the logs of both/],
    ['a temporary refusal', temporary, { ...oauth, ...again, status: 400 }, /is unavailable/],
    ['a reset', { fault: 'reset' }, network, /check the logs of Keycloak/],
    ['an incomplete answer', { fault: 'truncate' }, network],
  ]) {
    test(`after ${name} is ${expected.code} with all known details`, async (t) => {
      const { endpoint, manager } = await start(t, IMPATIENT);
      endpoint.setAnswer(answer);
      const error = await rejection(manager.getToken(), expected.code);
      const { message, stack, code, retryable, status, attempts, ...known } = error;
      const shape = { code, retryable, attempts, ...(status !== undefined && { status }) };
      assert.deepEqual(shape, expected);
      assert.equal(endpoint.requestCount, attempts);
      assert.equal(known.tokenEndpoint, endpoint.tokenEndpoint);
      assert.equal(known.clientId, 'test-client');
      assert.ok(known.retryAfterMs > 0 && known.retryAfterMs <= LONGEST_FIRST_COOLDOWN_MS);
      const body = typeof answer.body?.error === 'string' ? answer.body : {};
      assert.equal(known.oauthError, body.error);
      assert.equal(known.oauthErrorDescription, body.error_description);
      if (status) assert.ok(message.includes(`status ${status}`), message);
      if (body.error) assert.ok(message.includes(body.error), message);
      assert.ok(message.includes(endpoint.tokenEndpoint), message);
      assert.match(message, advice);
      assert.match(stack, /^KeycloakTokenError: [\s\S]+\n {4}at .+(manager|index)\.js/);
      assert.equal(Object.prototype.toString.call(error), '[object Error]');
      assert.equal('cause' in error, code === 'ERR_KEYCLOAK_NETWORK');
    });
  }

  for (const [status, body] of [
    [403, '<html></html>'],
    [404, ''],
  ]) {
    test(`from a gateway with status ${status} causes a retry if the endpoint has worked before`, async (t) => {
      const { endpoint, manager } = await start(t);
      await manager.getToken();
      endpoint.answerNext({ status, body });
      await manager.getToken({ forceRefresh: true });
      assert.equal(endpoint.requestCount, 3);
      endpoint.answerNext({ status, body: { error: 'forbidden' } });
      const error = await manager.getToken({ forceRefresh: true }).catch((reason) => reason);
      assert.deepEqual([error.status, error.retryable], [status, false]);
    });
  }

  test('after a refused connection is ERR_KEYCLOAK_NETWORK', async (t) => {
    const { endpoint, manager } = await start(t, IMPATIENT);
    await endpoint.goOffline();
    const error = await rejection(manager.getToken(), 'ERR_KEYCLOAK_NETWORK');
    assert.deepEqual([error.retryable, error.attempts, error.status], [true, 3, undefined]);
    assert.match(error.message, /\(ECONNREFUSED\); check that the server or proxy is running/);
    assert.equal(error.cause.code, 'ECONNREFUSED');
  });

  test('shows no control character from the server', async (t) => {
    const { endpoint, manager } = await start(t);
    endpoint.setAnswer(json(400, 'a\nb\u001b[31m', '\r\nfaked: log line\u2028é'));
    const error = await rejection(manager.getToken(), 'ERR_KEYCLOAK_OAUTH');
    for (const text of [error.message, error.oauthError, error.oauthErrorDescription]) {
      assert.match(text, /^[ -~]+$/);
    }
  });
});

// The answers that the transport or the boundary recognises; `response.rs` lists the others.
describe('an unusable answer', { concurrency: true }, () => {
  const gzip = { headers: { 'Content-Encoding': 'gzip' }, body: gzipSync('{"access_token":"t"}') };
  // `fetch` decodes a compressed body, even if the request did not ask for compression.
  const decodes = process.env.WITH_TOKEN_FETCH !== undefined;
  if (decodes) {
    test('with a compressed body gives its token', async (t) => {
      const { endpoint, manager } = await start(t);
      endpoint.setAnswer(gzip);
      assert.equal(await manager.getToken(), 't');
    });
  } else {
    test('with a compressed body and an error status causes an error that names the compression', async (t) => {
      const { endpoint, manager } = await start(t);
      endpoint.setAnswer({ ...gzip, status: 403 });
      const error = await rejection(manager.getToken(), 'ERR_KEYCLOAK_HTTP');
      assert.match(
        error.message,
        /compressed with gzip, which .+; turn off compression for token responses/,
      );
    });
  }

  for (const [name, answer, status = 200, message = /./] of [
    ['a redirect', { fault: 'redirect' }, 307],
    ['a page', { body: '<!doctype html><title>Sign in</title>' }],
    ...(decodes ? [] : [['a compressed body', gzip, 200, /compressed with gzip/]]),
    ['a body over 1 MiB', { body: `{"access_token":"t"}${' '.repeat(1_048_576)}` }],
    ['a body without end', { fault: 'flood' }],
  ]) {
    test(`with ${name} causes ERR_KEYCLOAK_PROTOCOL, and the manager keeps its token`, async (t) => {
      const { endpoint, manager } = await start(t);
      const held = await manager.getToken();
      endpoint.setAnswer(answer);
      const refresh = manager.getToken({ forceRefresh: true });
      const error = await rejection(refresh, 'ERR_KEYCLOAK_PROTOCOL');
      assert.deepEqual([error.retryable, error.attempts, error.status], [false, 1, status]);
      assert.ok(error.message.includes(`status ${status}`), error.message);
      assert.match(error.message, message);
      assert.equal(await manager.getToken(), held);
      assert.equal(manager.snapshot().state, 'fresh');
      assert.equal(endpoint.requestCount, 2);
    });
  }
});

describe('the cool-down', { concurrency: true }, () => {
  test('rejects a hundred callers with the same failure, each with its own error', async (t) => {
    const { endpoint, manager } = await start(t);
    endpoint.setAnswer(json(400, 'invalid_scope', 'Invalid scopes'));
    const first = await rejection(manager.getToken(), 'ERR_KEYCLOAK_OAUTH');
    async function comingLater() {
      return rejection(manager.getToken(), 'ERR_KEYCLOAK_OAUTH');
    }
    const errors = await Promise.all(times(100, comingLater));
    assert.equal(new Set([first, ...errors]).size, 101);
    for (const error of errors) {
      assert.match(error.stack, /comingLater/);
      assert.equal(error.message, first.message);
      assert.ok(error.retryAfterMs <= first.retryAfterMs);
    }
    for (const options of [{ forceRefresh: true }, { minValiditySeconds: 9 }, {}]) {
      await rejection(manager.getToken(options), 'ERR_KEYCLOAK_OAUTH');
    }
    manager.clearCache();
    await rejection(manager.getAccessToken(), 'ERR_KEYCLOAK_OAUTH');
    assert.equal(endpoint.requestCount, 1);
    assert.equal(manager.snapshot().counters.suppressed, 104);
  });

  test('counts down and ends on time, and the next acquisition makes a single attempt', async (t) => {
    const { endpoint, manager } = await start(t, IMPATIENT);
    endpoint.setAnswer(UNAVAILABLE);
    const first = await rejection(manager.getToken(), 'ERR_KEYCLOAK_HTTP');
    await delay(100);
    const later = await rejection(manager.getToken(), 'ERR_KEYCLOAK_HTTP');
    assert.ok(later.retryAfterMs <= first.retryAfterMs - 80, `${later.retryAfterMs}`);
    assert.equal(endpoint.requestCount, 3);
    await delay(later.retryAfterMs + TOLERANCE_MS);
    const second = await rejection(manager.getToken(), 'ERR_KEYCLOAK_HTTP');
    assert.deepEqual([later.attempts, second.attempts, endpoint.requestCount], [3, 1, 4]);
  });
});

// `crates/manager/tests/manager.rs` simulates the same outages under many seeds.
describe('a Keycloak that is down for the first caller', { concurrency: true }, () => {
  const LONGEST_DELAY_MS = 1_000;
  const MOST_REQUESTS = 14;
  const loopback = async (t, port = 0) => {
    const server = http.createServer((_, response) => response.end(tokenJson()));
    server.listen(port, '127.0.0.1');
    await once(server, 'listening');
    t.after(() => server.close());
    return server;
  };
  const downFor = {
    async refused(t) {
      const server = await loopback(t);
      const { port } = server.address();
      server.close();
      await once(server, 'close');
      return { url: `http://127.0.0.1:${port}/token`, comeBack: () => loopback(t, port) };
    },
    reset: (t) => answering(t, { fault: 'reset' }),
    503: (t) => answering(t, UNAVAILABLE),
  };
  const answering = async (t, answer) => {
    const endpoint = await startEndpoint(t);
    endpoint.setAnswer(answer);
    return { url: endpoint.tokenEndpoint, comeBack: () => endpoint.setAnswer(numbered()) };
  };
  for (const kind of Object.keys(downFor)) {
    for (const downMs of [500, 2_500, 4_500, 6_500]) {
      test(`gives a token within a second of its return after ${downMs} ms (${kind})`, async (t) => {
        const { url, comeBack } = await downFor[kind](t);
        const manager = openManager(t, { tokenEndpoint: url });
        const call = manager.getToken();
        await delay(downMs);
        await comeBack();
        const begin = performance.now();
        assert.match(await call, /^token-/);
        const late = performance.now() - begin;
        assert.ok(late <= LONGEST_DELAY_MS + 10 * TOLERANCE_MS, `${late} ms`);
        const requests = 1 + manager.snapshot().counters.retries;
        assert.ok(requests <= MOST_REQUESTS, `${requests} requests`);
      });
    }
  }
});

describe('a retry', { concurrency: true }, () => {
  test('follows a transient failure, at most twice, and only the success causes a log line', async (t) => {
    const { endpoint, manager, lines } = await start(t);
    endpoint.answerNext({ fault: 'reset' }, UNAVAILABLE);
    assert.match(await manager.getToken(), /^ey/);
    assert.equal(endpoint.requestCount, 3);
    const { counters, acquisitionLatencyMs } = manager.snapshot();
    assert.deepEqual([counters.acquisitions, counters.retries], [1, 2]);
    assert.equal(acquisitionLatencyMs.count, 1);
    assert.equal(lines.map(({ level }) => level).join(), 'debug');
  });

  test('does not follow if Retry-After is longer than the remaining time', async (t) => {
    const { endpoint, manager } = await start(t, { requestTimeoutMs: 2_000 });
    endpoint.setAnswer({ ...UNAVAILABLE, headers: { 'Retry-After': '60' } });
    const begin = performance.now();
    const error = await rejection(manager.getToken(), 'ERR_KEYCLOAK_HTTP');
    assert.ok(performance.now() - begin < 1_500);
    assert.equal(error.attempts, 1);
    assert.ok(error.retryAfterMs > 59_000 && error.retryAfterMs <= 60_000);
    assert.equal(endpoint.requestCount, 1);
  });
});

describe('a failure with a body that ends too late or never', { concurrency: true }, () => {
  const large = 'x'.repeat(1_200_000);
  for (const [name, answer, code, message] of [
    ['503, too large', { status: 503, body: large }],
    ['503, too slow', { status: 503, body: large, fault: 'drip' }],
    ['429, cut off', { status: 429, body: 'slow down', fault: 'truncate' }],
    ['401, too large', { status: 401, body: large }, 'ERR_KEYCLOAK_HTTP', /status 401 at/],
  ]) {
    test(`has the effect of its status: ${name}`, async (t) => {
      const { endpoint, manager } = await start(t);
      endpoint.answerNext(answer);
      const call = manager.getToken();
      if (code === undefined) assert.match(await call, /^ey/);
      else assert.match((await rejection(call, code)).message, message);
      assert.equal(endpoint.requestCount, code === undefined ? 2 : 1);
    });
  }
});

describe('requestTimeoutMs', { concurrency: true }, () => {
  const requestTimeoutMs = 1_000;
  const isNative = process.env.WITH_TOKEN_FETCH === undefined;
  for (const [name, answer, status] of [
    ['an endpoint that hangs', { fault: 'hang' }],
    ['a body that drips', { fault: 'drip', dripMs: 50 }, isNative ? 200 : undefined],
  ]) {
    test(`ends a call with ${name}`, async (t) => {
      const { endpoint, manager } = await start(t, { requestTimeoutMs });
      endpoint.setAnswer(answer);
      const begin = performance.now();
      const error = await rejection(manager.getToken(), 'ERR_KEYCLOAK_TIMEOUT');
      const took = performance.now() - begin;
      assert.ok(took > requestTimeoutMs - TOLERANCE_MS && took < 1.5 * requestTimeoutMs, `${took}`);
      assert.deepEqual([error.retryable, error.attempts], [true, 1]);
      assert.equal(error.status, status);
      assert.equal(error.message.includes('status 200'), status === 200, error.message);
      assert.equal(endpoint.requestCount, 1);
    });
  }

  test('limits all attempts together, and the manager keeps its token', async (t) => {
    const { endpoint, manager } = await start(t, { requestTimeoutMs });
    endpoint.setAnswer(numbered());
    const held = await manager.getToken();
    endpoint.setAnswer({ ...UNAVAILABLE, delayMs: 450 });
    const begin = performance.now();
    await rejection(manager.getToken({ forceRefresh: true }), 'ERR_KEYCLOAK_TIMEOUT');
    assert.ok(performance.now() - begin < 1.5 * requestTimeoutMs);
    assert.equal(await manager.getToken(), held);
  });
});
