'use strict';

// The sides of every comparison, created in the same way. This file loads the code of a side only
// when it creates that side, because some programs measure load time. The plain class gets its own
// keep-alive agent, which is the fastest configuration of Node's client.

const credentials = require('./credentials.js');

/** The number of managers in a portal that requests many tokens. */
const MANY = 1_000;

const silent = { error() {}, warn() {}, info() {}, debug() {} };

function makeOurs(tokenEndpoint, options) {
  const { KeycloakTokenManager } = require('..');
  return new KeycloakTokenManager({ tokenEndpoint, ...credentials, ...options });
}

/** Our side with a store that has no entry: a call while a token is held does not read the store. */
function makeShared(tokenEndpoint) {
  const none = async () => undefined;
  const store = { get: none, set: none, delete: none };
  return makeOurs(tokenEndpoint, { store, storeKey: 'a-key-that-all-replicas-have' });
}

function makePlain(tokenEndpoint, options) {
  const { AugmentTokenManager } = require('./baseline/augment-manager.js');
  const { Agent } = require(tokenEndpoint.startsWith('https:') ? 'node:https' : 'node:http');
  const agent = new Agent({ keepAlive: true });
  const own = { tokenEndpoint, ...credentials, logger: silent, agent };
  return new AugmentTokenManager({ ...own, ...options });
}

/**
 * Loads a side, including rivals, and returns a function that creates its manager for a token
 * endpoint. The manager also has `acquire()`, which gets a token from the endpoint.
 */
async function loadSide(name) {
  const make = await makerOf(name);
  const acquire = isOurs(name) ? acquireByForce : acquireAnew;
  return (tokenEndpoint) => Object.assign(make(tokenEndpoint), { acquire });
}

function makerOf(name) {
  if (name === 'ours') return makeOurs;
  if (name === 'plain') return makePlain;
  if (name === 'shared') return makeShared;
  if (name === 'raw') return require('./raw-client.js').makeRaw;
  if (isInstrumented(name)) return require('./instrumented.js').makers[name](makeOurs);
  return require('./rivals/table.js').rivals[name].load();
}

/** Our side with telemetry; see `instrumented.js`. */
const INSTRUMENTED = ['metrics', 'spans', 'sdkMetrics', 'sdkSpans', 'subscribed'];
const isInstrumented = (name) => INSTRUMENTED.includes(name);
const isOurs = (name) => ['ours', 'shared'].includes(name) || isInstrumented(name);

/** Uses `forceRefresh`, because `clearCache` is for a token that the caller knows to be wrong. */
function acquireByForce() {
  return this.getToken({ forceRefresh: true });
}

function acquireAnew() {
  this.clearCache();
  return this.getToken();
}

/** A manager whose calls go to 1,000 derived managers in turn, as those of a portal do. */
function makeDerived(tokenEndpoint) {
  const parent = makeOurs(tokenEndpoint);
  const derived = Array.from({ length: MANY }, (_, index) => parent.for({ scope: `s-${index}` }));
  return new InTurn(derived);
}

/** Calls managers in turn. */
class InTurn {
  #managers;
  #next = 0;

  constructor(managers) {
    this.#managers = managers;
  }

  getToken() {
    const manager = this.#managers[this.#next];
    this.#next = (this.#next + 1) % MANY;
    return manager.getToken();
  }

  /** Acquires the tokens of all managers. */
  getTokens() {
    return Promise.all(this.#managers.map((manager) => manager.getToken()));
  }
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

module.exports = { Floor, InTurn, loadSide, makeDerived, makeOurs, makePlain };
