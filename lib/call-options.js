'use strict';

const { badRequest } = require('./error.js');

const NAMES = new Set(['minValiditySeconds', 'signal', 'forceRefresh']);

function isDuration(value) {
  return typeof value === 'number' && value >= 0;
}

// Not by `instanceof`: under Jest a signal may come from another realm.
function isSignal(value) {
  return (
    value !== null &&
    typeof value === 'object' &&
    typeof value.aborted === 'boolean' &&
    typeof value.addEventListener === 'function' &&
    typeof value.removeEventListener === 'function'
  );
}

/** What is wrong with the options of a call, if anything is. */
function faultOf(options) {
  try {
    return faultIn(options);
  } catch {
    return badRequest('options: a property cannot be read');
  }
}

function faultIn(options) {
  if (options === null || typeof options !== 'object' || Array.isArray(options)) {
    return badRequest('options: expected an object');
  }
  for (const name of Object.keys(options)) {
    if (!NAMES.has(name) && options[name] !== undefined) {
      return badRequest(`${JSON.stringify(name)}: no such option`);
    }
  }
  const { minValiditySeconds, signal, forceRefresh } = options;
  if (minValiditySeconds !== undefined && !isDuration(minValiditySeconds)) {
    return badRequest('minValiditySeconds: expected a number of at least 0');
  }
  if (forceRefresh !== undefined && typeof forceRefresh !== 'boolean') {
    return badRequest('forceRefresh: expected a boolean');
  }
  if (signal !== undefined && !isSignal(signal)) {
    return badRequest('signal: expected an AbortSignal');
  }
  return undefined;
}

module.exports = { faultOf, isDuration };
