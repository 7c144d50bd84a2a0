'use strict';

// The sides of every comparison, created in the same way. The plain class gets its own keep-alive
// agent, which is the fastest configuration of Node's client.

const http = require('node:http');
const https = require('node:https');
const { AugmentTokenManager } = require('./baseline/augment-manager.js');
const credentials = require('./credentials.js');
const { RawClient } = require('./raw-client.js');
const { loadRival } = require('./rivals/index.js');

const silent = { error() {}, warn() {}, info() {}, debug() {} };

function makeOurs(tokenEndpoint, options) {
  const { KeycloakTokenManager } = require('..');
  return new KeycloakTokenManager({ tokenEndpoint, ...credentials, ...options });
}

function makePlain(tokenEndpoint, options) {
  const { Agent } = tokenEndpoint.startsWith('https:') ? https : http;
  const agent = new Agent({ keepAlive: true });
  return new AugmentTokenManager({
    tokenEndpoint,
    ...credentials,
    logger: silent,
    agent,
    ...options,
  });
}

/**
 * Loads a side, including rivals, and returns a function that creates its manager for a token
 * endpoint. The manager also has `acquire()`, which gets a token from the endpoint.
 */
async function loadSide(name) {
  const make = await makerOf(name);
  const acquire = name === 'ours' ? acquireByForce : acquireAnew;
  return (tokenEndpoint) => Object.assign(make(tokenEndpoint), { acquire });
}

async function makerOf(name) {
  if (name === 'ours') return makeOurs;
  if (name === 'plain') return makePlain;
  if (name === 'raw') return (tokenEndpoint) => new RawClient(tokenEndpoint);
  return (await loadRival(name)).make;
}

/** Uses `forceRefresh`, because `clearCache` is for a token that is known to be wrong. */
function acquireByForce() {
  return this.getToken({ forceRefresh: true });
}

function acquireAnew() {
  this.clearCache();
  return this.getToken();
}

/** The lower bound: a promise that is already resolved. */
class Floor {
  #token;

  constructor(token) {
    this.#token = Promise.resolve(token);
  }

  getToken() {
    return this.#token;
  }
}

module.exports = { Floor, credentials, loadSide, makeOurs, makePlain };
