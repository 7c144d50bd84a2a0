'use strict';

// Reads the argument `init` of `fetch`, and splits off the members `onBehalfOf`, `scope` and
// `audience`, which make `fetch` use a derived manager.

const { badRequest } = require('./error.js');

/** The members that the platform's `fetch` reads. */
const FETCH_MEMBERS = [
  'body',
  'cache',
  'credentials',
  'dispatcher',
  'duplex',
  'headers',
  'integrity',
  'keepalive',
  'method',
  'mode',
  'priority',
  'redirect',
  'referrer',
  'referrerPolicy',
  'signal',
  'window',
];
const OWN_MEMBERS = ['audience', 'backstageUser', 'minValiditySeconds', 'scope'];
const MEMBERS = [...FETCH_MEMBERS, ...OWN_MEMBERS];

/**
 * Returns a plain copy of `init`, for which this function reads each member once. A later look at
 * `init` could show other values, because the program may have changed it, or because a getter or a
 * proxy returns another value.
 *
 * @throws {KeycloakTokenError} `ERR_KEYCLOAK_REQUEST` if `init` is not an object
 */
function copyOf(init) {
  if (init === null) return undefined;
  if (typeof init !== 'object' && typeof init !== 'function') {
    throw badRequest('init: expected an object');
  }
  const copy = ownOf(init);
  // `fetch` finds its members even if they are inherited or not enumerable (WebIDL, "convert to a
  // dictionary").
  for (const name of MEMBERS) {
    if (name in copy) continue;
    const value = init[name];
    if (value !== undefined) copy[name] = value;
  }
  if ('onBehalfOf' in copy) return copy;
  // A present `onBehalfOf` counts even if it is `undefined`.
  const user = init.onBehalfOf;
  if (user !== undefined || 'onBehalfOf' in init) copy.onBehalfOf = user;
  return copy;
}

/** Copies the own properties, because `resource.fetch` may read more than the members. */
function ownOf(init) {
  // `fetch` ignores all other properties of a `Request`.
  return isA('Request', init) ? {} : { ...init };
}

/**
 * Splits a copy of `init` into the members for a derived manager and the rest. Returns `undefined`
 * if the copy has none of these members.
 */
function requestOf(copy) {
  const isThere = 'onBehalfOf' in copy || copy.scope !== undefined || copy.audience !== undefined;
  if (!isThere) return undefined;
  const { onBehalfOf, scope, audience, ...rest } = copy;
  const members = {};
  if (scope !== undefined) members.scope = listOf(scope);
  if (audience !== undefined) members.audience = listOf(audience);
  if ('onBehalfOf' in copy) members.onBehalfOf = onBehalfOf;
  return { members, rest };
}

// The program may change an array while the call waits.
function listOf(values) {
  return Array.isArray(values) ? [...values] : values;
}

// Does not use `instanceof`, because the classes differ under Jest or with the undici package.
function isA(name, value) {
  return typeof value === 'object' && value?.[Symbol.toStringTag] === name;
}

module.exports = { FETCH_MEMBERS, copyOf, isA, requestOf };
