'use strict';

// The sides of every comparison, made alike. The plain class gets an agent of its own that keeps
// connections alive, which is the best that Node's client does.

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
 * Loads a side, be it a rival, and gives what makes its manager for a token endpoint. Besides the
 * methods of its own the manager has `acquire()`, which gets a token from the endpoint.
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

/** By force: `clearCache` is for a token that is known to be wrong, not for a loop. */
function acquireByForce() {
  return this.getToken({ forceRefresh: true });
}

function acquireAnew() {
  this.clearCache();
  return this.getToken();
}

/** What nothing can be faster than: a promise that is there already. */
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
