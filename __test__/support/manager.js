'use strict';

/** Helpers of the suites: a manager on a fake endpoint, its log lines, and ways to wait. */

const assert = require('node:assert/strict');
const { setTimeout: delay } = require('node:timers/promises');
const { KeycloakTokenError, KeycloakTokenManager } = require('../..');
const { startFakeTokenEndpoint } = require('../../lib/testing');

const CLIENT = { clientId: 'test-client', clientSecret: 'test-secret' };

/** Starts an endpoint, which the test closes at its end. */
async function startEndpoint(t, options) {
  const endpoint = await startFakeTokenEndpoint(options);
  t.after(() => endpoint.close());
  return endpoint;
}

/** Makes a manager for the client `CLIENT`, which the test closes at its end. */
function openManager(t, options) {
  const manager = new KeycloakTokenManager({ ...CLIENT, ...options });
  t.after(() => manager.close());
  return manager;
}

/**
 * Starts a manager with its own endpoint, both of which the test closes at its end; `lines` are the
 * manager's log lines.
 */
async function start(t, options = {}, endpointOptions = {}) {
  const endpoint = await startFakeTokenEndpoint(endpointOptions);
  const { tokenEndpoint } = endpoint;
  const { logger, lines, at } = recorder();
  const open = (more = {}) => openManager(t, { tokenEndpoint, ...options, ...more });
  const manager = open({ logger });
  t.after(() => endpoint.close());
  return { endpoint, manager, open, lines, at };
}

/** Does the same as `start`, with an endpoint that grants opaque tokens: `token-1`, `token-2` … */
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

/** The rejection reason of a promise, which must be a `KeycloakTokenError` with this code. */
async function rejection(promise, code) {
  const error = await promise.then(
    () => assert.fail(`expected ${code}, but it was fulfilled`),
    (reason) => reason,
  );
  assert.ok(error instanceof KeycloakTokenError, `${error?.stack}`);
  assert.equal(error.code, code, error.message);
  return error;
}

/** Fulfils as soon as `isTrue()` returns true, and rejects at the limit. */
async function until(isTrue, what, limitMs = 8_000) {
  const end = performance.now() + limitMs;
  while (!(await isTrue())) {
    assert.ok(performance.now() < end, `waited in vain until ${what}`);
    await delay(5);
  }
}

/** The answers of an endpoint that grants numbered tokens. */
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

/** Returns the answer of `tokenResponse` as JSON. */
const tokenJson = (token = 'token-1', expiresIn = 300) =>
  JSON.stringify(tokenResponse(token, expiresIn));

/** Collects the unhandled rejections while a test runs. */
function unhandledRejections(t) {
  const reasons = [];
  const note = (reason) => reasons.push(reason);
  process.on('unhandledRejection', note);
  t.after(() => process.off('unhandledRejection', note));
  return reasons;
}

const times = (count, make = (index) => index) =>
  Array.from({ length: count }, (_, index) => make(index));

module.exports = {
  CLIENT,
  delay,
  numbered,
  openManager,
  recorder,
  rejection,
  start,
  startEndpoint,
  startNumbered,
  times,
  tokenJson,
  tokenResponse,
  unhandledRejections,
  until,
};
