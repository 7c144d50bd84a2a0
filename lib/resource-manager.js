'use strict';

// A manager for another API. It is its parent, except for `fetch`: token, cache and flights are
// shared, and it ends with its parent.

const { KeycloakTokenError, internal } = require('./error.js');
const native = require('./native.js');
const resourceFetch = require('./resource-fetch.js');

const SHARED_METHODS = [
  'getToken',
  'getAccessToken',
  'getTokenForStreaming',
  'invalidateToken',
  'clearCache',
  'snapshot',
  'withResource',
];

/** @throws {KeycloakTokenError} `ERR_KEYCLOAK_CONFIG` if the resource is wrong */
function managerFor(parent, resource) {
  const fault = check(resource);
  if (fault !== null) throw new KeycloakTokenError(fault);
  const manager = { fetch: parent[resourceFetch]({ ...resource }) };
  for (const name of SHARED_METHODS) manager[name] = parent[name].bind(parent);
  return manager;
}

// Native code returns faults as data, so it throws only if it has a bug.
function check(resource) {
  try {
    return native.checkResource(resource);
  } catch (cause) {
    throw internal(cause);
  }
}

module.exports = { managerFor };
