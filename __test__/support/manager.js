'use strict';

/** Helpers of the suites: a manager on a fake endpoint, its log lines, and ways to wait. */

const assert = require('node:assert/strict');
const { setTimeout: delay } = require('node:timers/promises');
const { KeycloakTokenError, KeycloakTokenManager } = require('../..');
const { startFakeTokenEndpoint } = require('../../lib/testing');

const CLIENT = { clientId: 'test-client', clientSecret: 'test-secret' };

/** A manager on its own endpoint, both closed after the test; `lines` is what it logged. */
async function start(t, options = {}, endpointOptions = {}) {
  const endpoint = await startFakeTokenEndpoint(endpointOptions);
  const { logger, lines, at } = recorder();
  const open = (more = {}) => {
    const { tokenEndpoint } = endpoint;
    const manager = new KeycloakTokenManager({ ...CLIENT, tokenEndpoint, ...options, ...more });
    t.after(() => manager.close());
    return manager;
  };
  const manager = open({ logger });
  t.after(() => endpoint.close());
  return { endpoint, manager, open, lines, at };
}

/** The same; the endpoint gives the opaque tokens `token-1`, `token-2` and so on. */
async function startNumbered(t, expiresIn, options) {
  const parts = await start(t, options);
  parts.endpoint.setAnswer(numbered(expiresIn));
  return parts;
}

/** A logger that keeps its lines. */
function recorder() {
  const lines = [];
  const logger = {};
  for (const level of ['error', 'warn', 'info', 'debug']) {
    logger[level] = (message) => lines.push({ level, message });
  }
  const at = (level) => lines.filter((line) => line.level === level).map((line) => line.message);
  return { logger, lines, at };
}

/** The reason of a rejected promise, which must be a `KeycloakTokenError` with this code. */
async function rejection(promise, code) {
  const error = await promise.then(
    () => assert.fail(`expected ${code}, but it was fulfilled`),
    (reason) => reason,
  );
  assert.ok(error instanceof KeycloakTokenError, `${error?.stack}`);
  assert.equal(error.code, code, error.message);
  return error;
}

/** Fulfils as soon as `isTrue()` is, and rejects at the limit. */
async function until(isTrue, what, limitMs = 8_000) {
  const end = performance.now() + limitMs;
  while (!(await isTrue())) {
    assert.ok(performance.now() < end, `waited in vain until ${what}`);
    await delay(5);
  }
}

/** The answers of an endpoint with such tokens. */
function numbered(expiresIn = 300) {
  let last = 0;
  return () => {
    last += 1;
    return { body: tokenResponse(`token-${last}`, expiresIn) };
  };
}

function tokenResponse(token, expiresIn) {
  return { access_token: token, token_type: 'Bearer', expires_in: expiresIn };
}

const times = (count, make = (index) => index) =>
  Array.from({ length: count }, (_, index) => make(index));

module.exports = {
  CLIENT,
  delay,
  numbered,
  recorder,
  rejection,
  start,
  startNumbered,
  times,
  tokenResponse,
  until,
};
