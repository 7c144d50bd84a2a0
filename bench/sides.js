'use strict';

// The two sides of every comparison, made alike. The plain class gets an agent of its own that
// keeps connections alive, which is the best that Node's client does.

const http = require('node:http');
const https = require('node:https');
const { AugmentTokenManager } = require('./baseline/augment-manager.js');

const credentials = { clientId: 'bench', clientSecret: 'bench-secret' };
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

module.exports = { Floor, credentials, makeOurs, makePlain };
