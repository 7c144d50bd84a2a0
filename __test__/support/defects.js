'use strict';

/**
 * What the tests of defects share: an endpoint that answers as a function says, the replaced
 * classes and ours against it, and ways to look at what comes of it.
 */

const assert = require('node:assert/strict');
const { KeycloakTokenManager } = require('../..');
const { AugmentTokenManager } = require('../../bench/baseline/augment-manager.js');
const { BoostAuthClient, SharedBoostAuthClient } = require('../../bench/baseline/boost-client.js');
const { startFakeTokenEndpoint } = require('../../lib/testing/index.js');

/**
 * Starts an endpoint that the test stops. `answer` gets the number of the request, from 1 on, and
 * the endpoint; what it gives is an answer of `setAnswer`, nothing stands for Keycloak's own.
 */
async function open(t, answer, options) {
  const endpoint = await startFakeTokenEndpoint(options);
  t.after(() => endpoint.close());
  let number = 0;
  if (answer !== undefined) {
    endpoint.setAnswer(() => {
      number += 1;
      return answer(number, endpoint);
    });
  }
  return endpoint;
}

/** Makes a maker: of a manager for an endpoint, if there is one, which it carries as `endpoint`. */
function maker(Class) {
  return (t, endpoint, options = {}) => {
    const manager = new Class({
      tokenEndpoint: endpoint?.tokenEndpoint,
      clientId: 'test-client',
      clientSecret: 'test-secret',
      logger: recorder(),
      ...options,
    });
    t.after(() => manager.close?.());
    return Object.assign(manager, { endpoint });
  };
}

/** A promise and what fulfils it. */
function gate() {
  let open;
  const opened = new Promise((resolve) => {
    open = resolve;
  });
  return { open, opened };
}

/** The reason of a rejected promise; a fulfilled one fails the test. */
async function failure(promise) {
  const outcome = await promise.then(
    (value) => ({ value }),
    (error) => ({ error }),
  );
  assert.ok('error' in outcome, 'expected a rejection');
  return outcome.error;
}

/** A token response with a lifetime of our choice in it, and another one in the token. */
function grant(endpoint, expiresIn, jwtLifeSeconds) {
  const iat = Math.floor(Date.now() / 1000);
  return {
    body: {
      access_token: endpoint.issueToken({ iat, exp: iat + jwtLifeSeconds }),
      token_type: 'Bearer',
      expires_in: expiresIn,
    },
  };
}

/** A logger that keeps its lines. */
function recorder() {
  const lines = [];
  const waiting = [];
  const write = (level) => (message) => {
    lines.push({ level, message });
    for (const { resolve, ...wanted } of waiting) {
      if (wanted.level === level) {
        resolve();
      }
    }
  };
  return {
    error: write('error'),
    warn: write('warn'),
    info: write('info'),
    debug: write('debug'),
    /** The lines of one level. */
    at: (level) => lines.filter((line) => line.level === level).map(({ message }) => message),
    all: () => lines.map(({ message }) => message),
    /** When a line of that level has been written. */
    written: (level) =>
      lines.some((line) => line.level === level)
        ? Promise.resolve()
        : new Promise((resolve) => waiting.push({ level, resolve })),
  };
}

module.exports = {
  augment: maker(AugmentTokenManager),
  boost: maker(BoostAuthClient),
  failure,
  gate,
  grant,
  open,
  ours: maker(KeycloakTokenManager),
  recorder,
  sharedBoost: maker(SharedBoostAuthClient),
};
