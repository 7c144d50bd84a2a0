'use strict';

// A manager for another API. It has its own `fetch` and `headers`. Its other methods are its
// parent's, so it shares the parent's token, cache and flights, and closes with the parent.

const { KeycloakTokenError, internal } = require('./error.js');
const native = require('./native.js');
const { copyOf } = require('./resource-copy.js');
const resourceFetch = require('./resource-fetch.js');
const resourceHeaders = require('./resource-headers.js');

const SHARED_METHODS = [
  'getToken',
  'getAccessToken',
  'getTokenForStreaming',
  'invalidateToken',
  'clearCache',
  'dpopProof',
  'snapshot',
  'withResource',
  'forgetSubject',
];

/** @throws {KeycloakTokenError} `ERR_KEYCLOAK_CONFIG` if the resource is invalid */
function managerFor(parent, resource) {
  const own = copyOf(resource);
  const fault = check(own);
  if (fault !== null) throw new KeycloakTokenError(fault);
  const manager = { fetch: parent[resourceFetch](own), headers: parent[resourceHeaders](own) };
  for (const name of SHARED_METHODS) manager[name] = parent[name].bind(parent);
  manager.for = (request) => parent.for(withResource(request, own));
  manager.onBehalfOf = (subjectToken, request) =>
    parent.onBehalfOf(subjectToken, withResource(request, own));
  return manager;
}

// A manager that is derived from this one has the same API, unless the request names another API.
function withResource(request = {}, resource = undefined) {
  if (request === null || typeof request !== 'object' || Array.isArray(request)) return request;
  return { ...request, resource: request.resource ?? resource };
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
