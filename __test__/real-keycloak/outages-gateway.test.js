/**
 * A healthy Keycloak behind a gateway that fails: it answers with its own page, ends
 * connections in the middle of an answer, or delays answers.
 */
'use strict';

const assert = require('node:assert/strict');
const { test } = require('node:test');
const { setTimeout: delay } = require('node:timers/promises');
const { inspect } = require('node:util');

const { recorder, rejection, until } = require('../support/manager');
const { describeWithKeycloak, manage } = require('./support/keycloak');
const {
  PATIENCE_MS,
  RECOVERED_WITHIN_MS,
  clientWithLife,
  passOn,
  recoveryAfter,
  startGateway,
  startLoad,
  tear,
} = require('./support/outages');

const CALLS_PER_SECOND = 50;
const ATTEMPTS = 3;
/** Such a token is due after 5 s and kept for 11 s. */
const [BUFFERED_LIFE_SECONDS, BUFFER_SECONDS] = [12, 7];
const PAGES_UNTIL_AGE_MS = 6_500;
/** Such a token is replaced 3 s before it expires, with a request that takes one of them. */
const SLOW_LIFE_SECONDS = 8;
const LONG_LIFE_SECONDS = 300;
const LATENCY_MS = 1_000;
const ROUNDS = 20;

const PAGE = '<html><head><title>502 Bad Gateway</title></head><body>canary-page</body></html>';

async function badGateway(_ask, response) {
  response.writeHead(502, { 'content-type': 'text/html' }).end(PAGE);
}

const late = (ms) => async (ask, response) => {
  await delay(ms);
  await passOn(ask, response);
};

/** Tears the first answer and every second one after it. */
const everySecondTorn = () => {
  let isTorn = false;
  return (ask, response) => {
    isTorn = !isTorn;
    return (isTorn ? tear : passOn)(ask, response);
  };
};

describeWithKeycloak('a gateway in front of Keycloak', { concurrency: true }, (keycloak) => {
  async function behindGateway(t, lifeSeconds, options = {}) {
    const client = await clientWithLife(keycloak, lifeSeconds);
    const gateway = await startGateway(keycloak.tokenEndpoint);
    t.after(() => gateway.close());
    const { tokenEndpoint } = gateway;
    return { gateway, manager: manage(t, { ...client, tokenEndpoint, ...options }) };
  }

  test('that answers with a page fails a caller without a token, and the page is not shown', async (t) => {
    const { logger, lines } = recorder();
    const options = { logger, requestTimeoutMs: 1_200 };
    const { gateway, manager } = await behindGateway(t, LONG_LIFE_SECONDS, options);
    gateway.answer = badGateway;
    const error = await rejection(manager.getToken(), 'ERR_KEYCLOAK_HTTP');
    assert.equal(error.status, 502);
    assert.equal(error.retryable, true);
    assert.equal(error.attempts, ATTEMPTS);
    assert.equal(gateway.requests.length, ATTEMPTS);
    assert.ok(error.retryAfterMs > 0);
    assert.match(error.message, /status 502.*a gateway in front of it, is unavailable/);
    for (const text of [inspect(error), JSON.stringify(error), JSON.stringify(lines)]) {
      assert.doesNotMatch(text, /<html|canary-page|Bad Gateway/);
    }

    gateway.answer = passOn;
    const load = startLoad(CALLS_PER_SECOND, () => manager.getToken());
    const recoveryMs = await recoveryAfter({ ended: Date.now() }, load);
    await load.stop();
    assert.ok(recoveryMs <= RECOVERED_WITHIN_MS, `${recoveryMs} ms`);
  });

  test('that answers with a page fails no call while the token lives', async (t) => {
    const more = { tokenExpiryBufferSeconds: BUFFER_SECONDS };
    const { gateway, manager } = await behindGateway(t, BUFFERED_LIFE_SECONDS, more);
    const held = await manager.getAccessToken();
    gateway.answer = badGateway;
    const load = startLoad(CALLS_PER_SECOND, () => manager.getToken());
    await rejection(manager.getToken({ forceRefresh: true }), 'ERR_KEYCLOAK_HTTP');
    await delay(held.issuedAt + PAGES_UNTIL_AGE_MS - Date.now());
    gateway.answer = passOn;
    const healed = Date.now();
    const isNew = ({ token }) => token !== held.token;
    await until(() => load.calls.some(isNew), 'there is a new token', PATIENCE_MS);
    await load.stop();
    const recoveryMs = load.calls.find(isNew).ended - healed;
    assert.deepEqual(load.failed(), []);
    assert.equal(load.served().length, load.calls.length);
    assert.ok(recoveryMs <= RECOVERED_WITHIN_MS, `${recoveryMs} ms`);
  });

  test('that tears every second answer fails no call', async (t) => {
    const { gateway, manager } = await behindGateway(t, LONG_LIFE_SECONDS);
    gateway.answer = everySecondTorn();
    for (let round = 0; round < ROUNDS; round += 1) {
      await manager.getToken({ forceRefresh: true });
    }
    assert.equal(gateway.requests.length, 2 * ROUNDS);
    gateway.answer = tear;
    const error = await rejection(manager.getToken({ forceRefresh: true }), 'ERR_KEYCLOAK_NETWORK');
    assert.deepEqual([error.retryable, error.attempts], [true, ATTEMPTS]);
    assert.doesNotMatch(inspect(error), /access_token|eyJ/);
    assert.equal(manager.snapshot().state, 'fresh');
  });

  test('that is slow delays no caller with a token', async (t) => {
    const { gateway, manager } = await behindGateway(t, SLOW_LIFE_SECONDS);
    const first = await manager.getToken();
    gateway.answer = late(LATENCY_MS);
    const { joins } = manager.snapshot().counters;
    const load = startLoad(CALLS_PER_SECOND, () => manager.getToken());
    const isNew = ({ token }) => token !== first;
    await until(() => load.calls.some(isNew), 'there is a new token', PATIENCE_MS);
    await load.stop();
    const { counters } = manager.snapshot();
    assert.deepEqual(load.failed(), []);
    assert.equal(load.served().length, load.calls.length);
    assert.equal(counters.joins, joins);
    assert.equal(counters.hits, load.calls.length);
    assert.equal(counters.acquisitions, gateway.requests.length);
  });
});
