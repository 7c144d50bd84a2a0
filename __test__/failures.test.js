'use strict';

// Failures between a manager and its endpoint, and their effects on callers.

const assert = require('node:assert/strict');
const { describe, test } = require('node:test');
const { gzipSync } = require('node:zlib');
const { delay, numbered, rejection, start, times, tokenResponse } = require('./support/manager.js');

const REFUSAL = {
  status: 400,
  body: { error: 'invalid_scope', error_description: 'Invalid scopes' },
};
const UNAVAILABLE = { status: 503, body: 'Service Unavailable' };
/** How far a clock in whole milliseconds may be from another. */
const TOLERANCE_MS = 20;
const SHORTEST_COOLDOWN_MS = 1_000;
const LONGEST_FIRST_COOLDOWN_MS = 1_250;

const json = (status, error, description) => ({
  status,
  body: { error, error_description: description },
});

describe('a query in the endpoint', () => {
  test('is sent and not shown', async (t) => {
    const { endpoint, open } = await start(t);
    const manager = open({
      tokenEndpoint: `${endpoint.tokenEndpoint}?p=canary`,
      clientSecret: 'no',
    });
    const error = await rejection(manager.getToken(), 'ERR_KEYCLOAK_OAUTH');
    assert.equal(error.tokenEndpoint, endpoint.tokenEndpoint);
    assert.ok(!error.message.includes('canary'));
  });
});

describe('the error', { concurrency: true }, () => {
  const page = '<html>Bad Gateway</html>';
  const oauth = { code: 'ERR_KEYCLOAK_OAUTH', retryable: false, attempts: 1 };
  const refused = { code: 'ERR_KEYCLOAK_HTTP', retryable: false, attempts: 1 };
  const passing = { code: 'ERR_KEYCLOAK_HTTP', retryable: true, attempts: 3 };
  const network = { code: 'ERR_KEYCLOAK_NETWORK', retryable: true, attempts: 3 };
  for (const [name, answer, expected] of [
    ['400', json(400, 'invalid_scope', 'Invalid scopes: x'), { ...oauth, status: 400 }],
    ['401', json(401, 'unauthorized_client', 'Invalid client'), { ...oauth, status: 401 }],
    ['403', json(403, 'access_denied', 'Realm not enabled'), { ...oauth, status: 403 }],
    ['a word of its own', json(422, 'whatever'), { ...oauth, status: 422 }],
    ['no realm', json(404, 'Realm does not exist'), { ...refused, status: 404 }],
    ['405', json(405, 'HTTP 405 Method Not Allowed'), { ...refused, status: 405 }],
    ['a 403 page', { status: 403, body: page }, { ...refused, status: 403 }],
    ['a 400 without error', { status: 400, body: { e: 1 } }, { ...refused, status: 400 }],
    [
      'an error that is no string',
      { status: 400, body: { error: 5 } },
      { ...refused, status: 400 },
    ],
    ['408', { status: 408 }, { ...passing, status: 408 }],
    ['429', json(429, 'slow_down'), { ...passing, status: 429 }],
    ['Keycloak in trouble', json(500, 'unknown_error'), { ...passing, status: 500 }],
    ['a 502 page', { status: 502, body: page }, { ...passing, status: 502 }],
    ['503', UNAVAILABLE, { ...passing, status: 503 }],
    ['a reset', { fault: 'reset' }, network],
    ['a close', { fault: 'close' }, network],
    ['half an answer', { fault: 'truncate' }, network],
  ]) {
    test(`of ${name} is ${expected.code} with what is known`, async (t) => {
      const { endpoint, manager } = await start(t);
      endpoint.setAnswer(answer);
      const error = await rejection(manager.getToken(), expected.code);
      const { message, stack, code, retryable, status, attempts, ...known } = error;
      assert.deepEqual(
        { code, retryable, attempts, ...(status !== undefined && { status }) },
        expected,
      );
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
      assert.ok(stack.startsWith('KeycloakTokenError: '), stack);
    });
  }

  test('of a refused connection is ERR_KEYCLOAK_NETWORK', async (t) => {
    const { endpoint, manager } = await start(t);
    await endpoint.goOffline();
    const error = await rejection(manager.getToken(), 'ERR_KEYCLOAK_NETWORK');
    assert.deepEqual([error.retryable, error.attempts, error.status], [true, 3, undefined]);
  });

  test('of https spoken to plain http is ERR_KEYCLOAK_TLS, not retried', async (t) => {
    const { endpoint, open } = await start(t);
    const tokenEndpoint = endpoint.tokenEndpoint.replace('http:', 'https:');
    const error = await rejection(open({ tokenEndpoint }).getToken(), 'ERR_KEYCLOAK_TLS');
    assert.deepEqual([error.retryable, error.attempts], [false, 1]);
    assert.equal(error.tokenEndpoint, tokenEndpoint);
    assert.equal(endpoint.connectionCount, 1);
  });

  test('of a closed manager is ERR_KEYCLOAK_CLOSED', async (t) => {
    const { endpoint, manager } = await start(t);
    endpoint.pause();
    const waiting = [manager.getToken(), manager.getAccessToken(), manager.getToken({})];
    await endpoint.waitForRequests(1);
    await manager.close();
    for (const call of [...waiting, manager.getToken(), manager.getTokenForStreaming(1)]) {
      const { retryable } = await rejection(call, 'ERR_KEYCLOAK_CLOSED');
      assert.equal(retryable, false);
    }
    assert.equal(endpoint.requestCount, 1);
  });

  test('shows no control character of the server', async (t) => {
    const { endpoint, manager } = await start(t);
    endpoint.setAnswer(json(400, 'a\nb\u001b[31m', '\r\nfaked: log line\u2028é'));
    const error = await rejection(manager.getToken(), 'ERR_KEYCLOAK_OAUTH');
    for (const text of [error.message, error.oauthError, error.oauthErrorDescription]) {
      assert.match(text, /^[ -~]+$/);
    }
  });
});

describe('a hostile answer', { concurrency: true }, () => {
  test('that is compressed without a request is reported as such', async (t) => {
    const { endpoint, manager } = await start(t);
    const body = gzipSync('{"access_token":"t"}');
    endpoint.setAnswer({ headers: { 'Content-Encoding': 'gzip' }, body });
    const error = await rejection(manager.getToken(), 'ERR_KEYCLOAK_PROTOCOL');
    assert.match(error.message, /compressed with gzip/);
  });

  const token = (access_token) => ({ body: { ...tokenResponse('t', 300), access_token } });
  const deep = `{"access_token":"t","x":${'['.repeat(10_000)}${']'.repeat(10_000)}}`;
  const HOSTILE = [
    ['a redirect', { fault: 'redirect' }, 307],
    ['a page', { body: '<!doctype html><title>Sign in</title>' }],
    ['nothing', { status: 204 }, 204],
    ['JSON that is no object', { body: '["token"]' }],
    ['half of a document', { body: '{"access_token":"t"' }],
    ['a success with an error', { body: { ...tokenResponse('t', 300), error: 'invalid_client' } }],
    ['no token', { body: { token_type: 'Bearer', expires_in: 300 } }],
    ['an empty token', token('')],
    ['a token that is a number', token(1)],
    ['a token that is null', token(null)],
    ['a token with a line feed', token('a\nb')],
    ['a token with a space', token('a b')],
    ['a token beyond ASCII', token('é')],
    ['another token type', { body: { ...tokenResponse('t', 300), token_type: 'DPoP' } }],
    ['two tokens', { body: '{"access_token":"a","access_token":"b"}' }],
    ['deep JSON', { body: deep }],
    ['a body over 1 MiB', { body: `{"access_token":"t"}${' '.repeat(1_048_576)}` }],
    ['a body without end', { fault: 'flood' }],
  ];
  for (const [name, answer, status = 200] of HOSTILE) {
    test(`${name} gives ERR_KEYCLOAK_PROTOCOL, once, and the held token stays`, async (t) => {
      const { endpoint, manager } = await start(t);
      const held = await manager.getToken();
      endpoint.setAnswer(answer);
      const refresh = manager.getToken({ forceRefresh: true });
      const error = await rejection(refresh, 'ERR_KEYCLOAK_PROTOCOL');
      assert.deepEqual([error.retryable, error.attempts, error.status], [false, 1, status]);
      assert.ok(error.message.includes(`status ${status}`), error.message);
      assert.equal(await manager.getToken(), held);
      assert.equal(manager.snapshot().state, 'fresh');
      assert.equal(endpoint.requestCount, 2);
    });
  }

  for (const [name, answer, expected] of [
    ['a token type in lower case', { body: { access_token: 't', token_type: 'bearer' } }, 't'],
    ['no token type', { body: { access_token: 't' } }, 't'],
    ['members that nobody knows', { body: { access_token: 't', x: { y: [1] } } }, 't'],
    ['a long token', token('x'.repeat(100_000)), 'x'.repeat(100_000)],
    ['a body of 1 MiB', { body: '{"access_token":"t"}'.padEnd(1_048_576) }, 't'],
    [
      'a byte that is not UTF-8',
      { body: Buffer.from('{"access_token":"t","x":"\xff"}', 'latin1') },
      't',
    ],
    ['a byte order mark', { body: '\ufeff{"access_token":"t"}' }, 't'],
    ['an empty error', { body: { access_token: 't', error: '' } }, 't'],
    ['another success', { status: 201, body: { access_token: 't' } }, 't'],
  ]) {
    test(`${name} is none`, async (t) => {
      const { endpoint, manager } = await start(t);
      endpoint.setAnswer(answer);
      assert.equal(await manager.getToken(), expected);
    });
  }
});

describe('the cool-down', { concurrency: true }, () => {
  test('gives a hundred callers one failure, each an error of its own', async (t) => {
    const { endpoint, manager } = await start(t);
    endpoint.setAnswer(REFUSAL);
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

  test('counts down, ends when it said, doubles, and leaves a single attempt', async (t) => {
    const { endpoint, manager } = await start(t);
    endpoint.setAnswer(UNAVAILABLE);
    const first = await rejection(manager.getToken(), 'ERR_KEYCLOAK_HTTP');
    assert.equal(endpoint.requestCount, 3);
    assert.ok(first.retryAfterMs > SHORTEST_COOLDOWN_MS - 200, `${first.retryAfterMs}`);
    await delay(100);
    const later = await rejection(manager.getToken(), 'ERR_KEYCLOAK_HTTP');
    assert.ok(later.retryAfterMs <= first.retryAfterMs - 80, `${later.retryAfterMs}`);
    assert.equal(later.attempts, 3);
    assert.equal(endpoint.requestCount, 3);
    await delay(later.retryAfterMs + TOLERANCE_MS);
    const second = await rejection(manager.getToken(), 'ERR_KEYCLOAK_HTTP');
    assert.equal(second.attempts, 1);
    assert.equal(endpoint.requestCount, 4);
    assert.ok(second.retryAfterMs > 1_800 && second.retryAfterMs <= 2_500);
  });

  test('is over after a success', async (t) => {
    const { endpoint, manager } = await start(t);
    endpoint.answerNext(REFUSAL);
    const { retryAfterMs } = await rejection(manager.getToken(), 'ERR_KEYCLOAK_OAUTH');
    await delay(retryAfterMs + TOLERANCE_MS);
    await manager.getToken();
    endpoint.answerNext({ fault: 'reset' });
    await manager.getToken({ forceRefresh: true });
    assert.equal(endpoint.requestCount, 4);
    endpoint.answerNext(REFUSAL);
    const again = manager.getToken({ forceRefresh: true });
    assert.ok((await rejection(again, 'ERR_KEYCLOAK_OAUTH')).retryAfterMs <= 1_250);
  });

  test('leaves a valid token to all but forceRefresh', async (t) => {
    const { endpoint, manager } = await start(t);
    const held = await manager.getToken();
    endpoint.setAnswer(REFUSAL);
    const forced = { forceRefresh: true };
    await rejection(manager.getToken(forced), 'ERR_KEYCLOAK_OAUTH');
    await rejection(manager.getToken(forced), 'ERR_KEYCLOAK_OAUTH');
    assert.equal(await manager.getToken(), held);
    assert.equal(await manager.getToken({ minValiditySeconds: 100_000 }), held);
    assert.equal(endpoint.requestCount, 2);
  });
});

describe('retries', { concurrency: true }, () => {
  for (const [name, answer] of [
    ['503', UNAVAILABLE],
    ['429', { status: 429 }],
    ['a reset', { fault: 'reset' }],
    ['half an answer', { fault: 'truncate' }],
  ]) {
    test(`make up for ${name}, twice`, async (t) => {
      const { endpoint, manager, lines } = await start(t);
      endpoint.answerNext(answer, answer);
      assert.match(await manager.getToken(), /^ey/);
      assert.equal(endpoint.requestCount, 3);
      const { counters, acquisitionLatencyMs } = manager.snapshot();
      assert.deepEqual([counters.acquisitions, counters.retries], [1, 2]);
      assert.equal(acquisitionLatencyMs.count, 1);
      assert.deepEqual(
        lines.map(({ level }) => level),
        ['debug'],
      );
    });
  }

  const dated = (time) => [new Date(time).toUTCString(), time];
  for (const [name, make] of [
    ['seconds', () => ['1', Date.now() + 1_000]],
    ['a date', () => dated(Math.ceil(Date.now() / 1_000) * 1_000 + 1_000)],
  ]) {
    test(`wait for a Retry-After in ${name} if it fits`, async (t) => {
      const { endpoint, manager } = await start(t);
      let earliest;
      endpoint.answerNext(() => {
        const [value, time] = make();
        earliest = time;
        return { ...UNAVAILABLE, headers: { 'Retry-After': value } };
      });
      await manager.getToken();
      assert.equal(endpoint.requestCount, 2);
      const { at } = endpoint.requests[1];
      assert.ok(at >= earliest - TOLERANCE_MS && at < earliest + 1_000, `${at - earliest}`);
    });
  }

  test('end at once with a Retry-After that does not fit', async (t) => {
    const { endpoint, manager } = await start(t, { requestTimeoutMs: 2_000 });
    endpoint.setAnswer({ ...UNAVAILABLE, headers: { 'Retry-After': '60' } });
    const begin = performance.now();
    const error = await rejection(manager.getToken(), 'ERR_KEYCLOAK_HTTP');
    assert.ok(performance.now() - begin < 1_500);
    assert.equal(error.attempts, 1);
    assert.ok(error.retryAfterMs > 59_000 && error.retryAfterMs <= 60_000);
    const later = await rejection(manager.getToken(), 'ERR_KEYCLOAK_HTTP');
    assert.ok(later.retryAfterMs <= error.retryAfterMs);
    assert.equal(endpoint.requestCount, 1);
  });
});

describe('requestTimeoutMs', { concurrency: true }, () => {
  const requestTimeoutMs = 1_000;
  for (const [name, answer] of [
    ['an endpoint that hangs', { fault: 'hang' }],
    ['a body that drips', { fault: 'drip', dripMs: 50 }],
    ['a slow answer', { delayMs: 60_000 }],
  ]) {
    test(`ends ${name}`, async (t) => {
      const { endpoint, manager } = await start(t, { requestTimeoutMs });
      endpoint.setAnswer(answer);
      const begin = performance.now();
      const error = await rejection(manager.getToken(), 'ERR_KEYCLOAK_TIMEOUT');
      const took = performance.now() - begin;
      assert.ok(took > requestTimeoutMs - TOLERANCE_MS && took < 1.5 * requestTimeoutMs, `${took}`);
      assert.deepEqual([error.retryable, error.attempts], [true, 1]);
      assert.equal(endpoint.requestCount, 1);
    });
  }

  test('ends all attempts together, and the held token stays', async (t) => {
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
