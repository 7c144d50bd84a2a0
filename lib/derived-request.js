'use strict';

// Checks the arguments for derived managers and brings them into canonical form, so that equal
// requests have equal keys.

const { badRequest } = require('./error.js');

/** The length of the longest form field that Keycloak reads. Keycloak ignores a longer field. */
const MAX_PARAMETER = 4_000;
/** The length of the longest subject token or assertion that Keycloak accepts. */
const MAX_SUBJECT = 20_000;
const SCOPE_TOKEN = /^[\x21\x23-\x5b\x5d-\x7e]+$/;
const ACCESS_TOKEN_TYPE = 'urn:ietf:params:oauth:token-type:access_token';
/** The form fields that the manager sets. */
const RESERVED = new Set([
  'grant_type',
  'client_id',
  'client_secret',
  'scope',
  'client_assertion',
  'client_assertion_type',
  'subject_token',
  'subject_token_type',
  'requested_token_type',
  'assertion',
]);
const FIELDS = new Set([
  'scope',
  'audience',
  'requestedResource',
  'parameters',
  'resource',
  'grant',
]);
const EXCHANGE_FIELDS = new Set([
  'scope',
  'audience',
  'requestedResource',
  'parameters',
  'resource',
  'subjectTokenType',
]);

/** Returns the distinct values, sorted. */
function sorted(values) {
  return values.length === 1 ? [...values] : [...new Set(values)].sort();
}

/** Returns the distinct scopes, sorted and separated by spaces. */
function scopeOf(value) {
  // The most common value needs no array.
  const isOne = typeof value === 'string' && SCOPE_TOKEN.test(value);
  if (isOne && value.length <= MAX_PARAMETER) return value;
  const tokens = typeof value === 'string' ? value.split(' ') : value;
  const isScope =
    Array.isArray(tokens) &&
    tokens.length > 0 &&
    tokens.every((token) => typeof token === 'string' && SCOPE_TOKEN.test(token));
  if (!isScope) {
    throw badRequest(
      'scope: expected a string of scopes separated by single spaces, or a non-empty array with ' +
        'one scope per item',
    );
  }
  const scope = sorted(tokens).join(' ');
  if (scope.length > MAX_PARAMETER) {
    throw badRequest(
      `scope: ${scope.length} characters are too many; Keycloak silently ignores a scope of more ` +
        `than ${MAX_PARAMETER} characters, so request fewer scopes at once`,
    );
  }
  return scope;
}

function valuesOf(name, value) {
  const values = typeof value === 'string' ? [value] : value;
  const isUsable = (item) =>
    typeof item === 'string' && item !== '' && Buffer.byteLength(item) <= MAX_PARAMETER;
  if (!Array.isArray(values) || values.length === 0 || !values.every(isUsable)) {
    throw badRequest(
      `${name}: expected a string or a non-empty array of strings, each of 1 to ${MAX_PARAMETER} ` +
        'characters',
    );
  }
  return sorted(values);
}

/** Returns an array in which names and values alternate, sorted by name. */
function parametersOf(value) {
  if (value === null || typeof value !== 'object' || Array.isArray(value)) {
    throw badRequest('parameters: expected an object of strings');
  }
  const parameters = [];
  for (const name of Object.keys(value).sort()) {
    if (value[name] === undefined) continue;
    if (RESERVED.has(name)) {
      throw badRequest(`parameters: ${JSON.stringify(name)} is a field that the manager sets`);
    }
    if (typeof value[name] !== 'string') {
      throw badRequest(`parameters: expected ${JSON.stringify(name)} to be a string`);
    }
    parameters.push(name, value[name]);
  }
  return parameters;
}

/**
 * Checks a subject token or an assertion. A caller that passes no token must never receive the
 * service account's token.
 */
function checkSubject(name, token) {
  if (typeof token !== 'string' || token === '') {
    throw badRequest(`${name}: expected a token as a non-empty string; no request was sent`);
  }
  if (/^bearer /i.test(token)) {
    throw badRequest(
      `${name}: expected the token alone, without "Bearer " in front of it; no request was sent`,
    );
  }
  if (token.length > MAX_SUBJECT) {
    throw badRequest(
      `${name}: expected a token of at most ${MAX_SUBJECT} characters; no request was sent`,
    );
  }
}

function assertionOf(grant) {
  if (grant === null || typeof grant !== 'object' || grant.type !== 'jwt-bearer') {
    throw badRequest("grant: expected { type: 'jwt-bearer', assertion }");
  }
  const { assertion } = grant;
  if (typeof assertion === 'function') return { assertionFunction: assertion };
  checkSubject('grant.assertion', assertion);
  return { assertion };
}

// Numbers the assertion functions, so that requests with the same function have the same key.
const functionIds = new WeakMap();
let lastFunctionId = 0;

function idOf(assertionFunction) {
  if (!functionIds.has(assertionFunction)) functionIds.set(assertionFunction, ++lastFunctionId);
  return functionIds.get(assertionFunction);
}

const NO_SUBJECT = {
  assertion: undefined,
  assertionFunction: undefined,
  callsForAssertion: undefined,
  subjectToken: undefined,
  subjectTokenType: undefined,
};

function checkFields(given, fields) {
  if (given === null || typeof given !== 'object' || Array.isArray(given)) {
    throw badRequest('request: expected an object');
  }
  for (const name of Object.keys(given)) {
    if (!fields.has(name) && given[name] !== undefined) {
      throw badRequest(`${JSON.stringify(name)}: no such request field`);
    }
  }
}

/** Returns a copy of the parent's request, overridden by the given fields. */
function withFields(base, given) {
  const { scope, audience, requestedResource, parameters } = given;
  const request = { ...base };
  if (scope !== undefined) request.scope = scopeOf(scope);
  if (audience !== undefined) request.audience = valuesOf('audience', audience);
  if (requestedResource !== undefined) {
    request.requestedResource = valuesOf('requestedResource', requestedResource);
  }
  if (parameters !== undefined) request.parameters = parametersOf(parameters);
  return request;
}

/**
 * Returns the request of `manager.for(given)`.
 *
 * @param {object} base the request of the manager
 * @throws {KeycloakTokenError} `ERR_KEYCLOAK_REQUEST`
 */
function derivedRequest(base, given = {}) {
  checkFields(given, FIELDS);
  const request = withFields(base, given);
  if (given.grant !== undefined) {
    Object.assign(request, NO_SUBJECT, assertionOf(given.grant));
    request.callsForAssertion = request.assertionFunction !== undefined;
  }
  return request;
}

/**
 * Returns the request of `manager.onBehalfOf(subjectToken, given)`.
 *
 * @param {object} base the request of the manager
 * @throws {KeycloakTokenError} `ERR_KEYCLOAK_REQUEST`
 */
function exchangeRequest(base, subjectToken, given = {}) {
  checkSubject('onBehalfOf', subjectToken);
  checkFields(given, EXCHANGE_FIELDS);
  const request = withFields(base, given);
  const { subjectTokenType = ACCESS_TOKEN_TYPE } = given;
  if (typeof subjectTokenType !== 'string' || subjectTokenType === '') {
    throw badRequest('subjectTokenType: expected a URN as a non-empty string');
  }
  return Object.assign(request, NO_SUBJECT, { subjectToken, subjectTokenType });
}

/** Returns a key that requests share if they differ at most in the subject token. */
function keyOf(request) {
  const { scope, audience, requestedResource, parameters, subjectTokenType } = request;
  const { assertion, assertionFunction } = request;
  // The key of the most common request takes no memory of its own. The other keys begin with a
  // space, which no scope does.
  if (scope !== undefined && Object.keys(request).length === 1) return scope;
  const fields = [
    scope ?? 0,
    audience ?? 0,
    requestedResource ?? 0,
    parameters ?? 0,
    assertion ?? 0,
    assertionFunction === undefined ? 0 : idOf(assertionFunction),
    subjectTokenType ?? 0,
  ];
  return ` ${JSON.stringify(fields)}`;
}

module.exports = { checkSubject, derivedRequest, exchangeRequest, keyOf };
