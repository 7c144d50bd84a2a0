/**
 * A healthy Keycloak behind a gateway that fails: it answers with a page of its own, ends
 * connections in the middle of an answer, or takes its time.
 */
'use strict';

const assert = require('node:assert/strict');
const { after, test } = require('node:test');
const { setTimeout: delay } = require('node:timers/promises');
const { inspect } = require('node:util');

const { recorder, rejection } = require('../support/manager');
const { describeWithKeycloak } = require('./support/keycloak');
const {
  RECOVERED_WITHIN_MS,
  clientWithLife,
  observe,
  ours,
  passOn,
  percent,
  plain,
  printTable,
  recoveryAfter,
  requestsOf,
  row,
  startGateway,
  startLoad,
  tear,
  until,
} = require('./support/outages');

const CALLS_PER_SECOND = 50;
const ATTEMPTS = 3;
/** Ours wants to replace such a token after 12 s and keeps it for 23, the plain class for 10. */
const [BUFFERED_LIFE_SECONDS, BUFFER_SECONDS] = [24, 14];
const PAGES_UNTIL_AGE_MS = 13_000;
/** Such a token is replaced three seconds before its end, a new one on its way for one of them. */
const SLOW_LIFE_SECONDS = 8;
const LONG_LIFE_SECONDS = 300;
const LATENCY_MS = 1_000;
const REQUEST_TIMEOUT_MS = 2_000;
const TOLERANCE_MS = 50;
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

/** A new token for each call, one after the other. */
async function callInTurn(manager) {
  const calls = [];
  for (let round = 0; round < ROUNDS; round += 1) {
    manager.clearCache();
    calls.push(await observe(() => manager.getToken()));
  }
  return { calls, served: () => calls.filter(({ isServed }) => isServed) };
}

describeWithKeycloak('a Keycloak behind a failing gateway', { concurrency: true }, (keycloak) => {
  const rows = [];
  after(() => printTable(rows));

  async function behindGateway(t, lifeSeconds, options = {}) {
    const client = await clientWithLife(keycloak, lifeSeconds);
    const gateway = await startGateway(keycloak.tokenEndpoint);
    t.after(() => gateway.close());
    const given = { ...client, tokenEndpoint: gateway.tokenEndpoint, ...options };
    const manager = ours(given);
    t.after(() => manager.close());
    return { gateway, manager, options: given };
  }

  test('its page is no answer for a caller without a token, and is not shown', async (t) => {
    const { logger, lines } = recorder();
    const { gateway, manager } = await behindGateway(t, LONG_LIFE_SECONDS, { logger });
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
    rows.push(row('502 pages, then good', { recoveryMs, requests: gateway.requests.length }));
    assert.ok(recoveryMs <= RECOVERED_WITHIN_MS, `${recoveryMs} ms`);
  });

  test('its page disturbs nobody while the token lives', async (t) => {
    const more = { tokenExpiryBufferSeconds: BUFFER_SECONDS };
    const { gateway, manager, options } = await behindGateway(t, BUFFERED_LIFE_SECONDS, more);
    const replaced = plain(options);
    const [held] = await Promise.all([manager.getAccessToken(), replaced.getToken()]);
    gateway.answer = badGateway;
    const load = startLoad(CALLS_PER_SECOND, () => manager.getToken());
    const plainLoad = startLoad(CALLS_PER_SECOND, () => replaced.getToken());
    await rejection(manager.getToken({ forceRefresh: true }), 'ERR_KEYCLOAK_HTTP');
    await delay(held.issuedAt + PAGES_UNTIL_AGE_MS - Date.now());
    gateway.answer = passOn;
    const healed = Date.now();
    const isNew = ({ token }) => token !== held.token;
    await until(() => load.calls.some(isNew), 'there is a new token');
    await Promise.all([load.stop(), plainLoad.stop()]);

    const recoveryMs = load.calls.find(isNew).ended - healed;
    rows.push(
      row('502 pages, a token is held', {
        load,
        requests: requestsOf(manager),
        recoveryMs,
        plainLoad,
        plainRequests: replaced.requests,
      }),
    );
    assert.deepEqual(load.failed(), []);
    assert.equal(percent(load), 100);
    assert.ok(percent(plainLoad) < 100, 'the plain class serves every call');
    assert.ok(recoveryMs <= RECOVERED_WITHIN_MS, `${recoveryMs} ms`);
  });

  test('an answer that it tears every time is a network error', async (t) => {
    const { gateway, manager } = await behindGateway(t, LONG_LIFE_SECONDS);
    gateway.answer = tear;
    const error = await rejection(manager.getToken(), 'ERR_KEYCLOAK_NETWORK');
    assert.equal(error.retryable, true);
    assert.equal(error.attempts, ATTEMPTS);
    assert.equal(gateway.requests.length, ATTEMPTS);
    assert.doesNotMatch(inspect(error), /access_token|eyJ/);
  });

  test('torn answers do not disturb callers while the token lives', async (t) => {
    const { gateway, manager } = await behindGateway(t, LONG_LIFE_SECONDS);
    const held = await manager.getToken();
    gateway.answer = tear;
    await rejection(manager.getToken({ forceRefresh: true }), 'ERR_KEYCLOAK_NETWORK');
    assert.equal(await manager.getToken(), held);
    assert.equal(manager.snapshot().state, 'fresh');
  });

  test('every second answer torn fails no call of ours, and half of the plain ones', async (t) => {
    const { gateway, manager, options } = await behindGateway(t, LONG_LIFE_SECONDS);
    gateway.answer = everySecondTorn();
    const load = await callInTurn(manager);
    const requests = gateway.requests.length;
    gateway.answer = everySecondTorn();
    const replaced = plain(options);
    const plainLoad = await callInTurn(replaced);

    const plainRequests = replaced.requests;
    rows.push(row('every second answer torn', { load, requests, plainLoad, plainRequests }));
    assert.equal(percent(load), 100);
    assert.equal(percent(plainLoad), 50);
    assert.equal(requests, 2 * ROUNDS);
  });

  test('a slow answer is waited for once, by all who have no token', async (t) => {
    const { gateway, manager } = await behindGateway(t, LONG_LIFE_SECONDS);
    gateway.answer = late(LATENCY_MS);
    const begun = Date.now();
    const load = startLoad(CALLS_PER_SECOND, () => manager.getToken());
    await until(() => load.calls.length > 0, 'the answer is there');
    assert.ok(Date.now() - begun >= LATENCY_MS - TOLERANCE_MS);
    await load.stop();

    rows.push(row('slow, no token held', { load, requests: requestsOf(manager) }));
    assert.deepEqual(load.failed(), []);
    assert.equal(gateway.requests.length, 1);
  });

  test('a slow answer is waited for by nobody who has a token', async (t) => {
    const { gateway, manager } = await behindGateway(t, SLOW_LIFE_SECONDS);
    const first = await manager.getToken();
    gateway.answer = late(LATENCY_MS);
    const { joins } = manager.snapshot().counters;
    const load = startLoad(CALLS_PER_SECOND, () => manager.getToken());
    await until(() => load.calls.some(({ token }) => token !== first), 'there is a new one');
    await load.stop();
    const { counters } = manager.snapshot();

    rows.push(row('slow, a token is held', { load, requests: requestsOf(manager) }));
    assert.deepEqual(load.failed(), []);
    assert.equal(load.served().length, load.calls.length);
    assert.equal(counters.joins, joins);
    assert.equal(counters.hits, load.calls.length);
    assert.equal(counters.acquisitions, gateway.requests.length);
  });

  test('an answer that comes too late is a timeout', async (t) => {
    const requestTimeoutMs = REQUEST_TIMEOUT_MS;
    const { gateway, manager } = await behindGateway(t, LONG_LIFE_SECONDS, { requestTimeoutMs });
    gateway.answer = late(2 * REQUEST_TIMEOUT_MS);
    const begun = Date.now();
    const error = await rejection(manager.getToken(), 'ERR_KEYCLOAK_TIMEOUT');
    assert.ok(Date.now() - begun >= REQUEST_TIMEOUT_MS - TOLERANCE_MS);
    assert.equal(error.retryable, true);
  });
});
