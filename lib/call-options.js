'use strict';

const { badRequest } = require('./error.js');

const NAMES = new Set(['minValiditySeconds', 'signal', 'forceRefresh']);

function isDuration(value) {
  return typeof value === 'number' && value >= 0;
}

// Does not use `instanceof`, because under Jest a signal may come from another JavaScript realm.
function isSignal(value) {
  return (
    value !== null &&
    typeof value === 'object' &&
    typeof value.aborted === 'boolean' &&
    typeof value.addEventListener === 'function' &&
    typeof value.removeEventListener === 'function'
  );
}

/**
 * Reads the options of a call once. Returns the options, or a `fault` if they are invalid or the
 * signal has already aborted.
 */
function checked(options) {
  try {
    return read(options);
  } catch {
    return { fault: badRequest('options: the manager cannot read a property') };
  }
}

function read(options) {
  if (options === null || typeof options !== 'object' || Array.isArray(options)) {
    return { fault: badRequest('options: expected an object') };
  }
  for (const name of Object.keys(options)) {
    if (!NAMES.has(name) && options[name] !== undefined) {
      return { fault: badRequest(`${JSON.stringify(name)}: no such option`) };
    }
  }
  const { minValiditySeconds, signal, forceRefresh } = options;
  const fault = faultIn({ minValiditySeconds, signal, forceRefresh });
  if (fault !== undefined) return { fault: badRequest(fault) };
  if (signal?.aborted) return { fault: signal.reason };
  return { minValiditySeconds, signal, forceRefresh };
}

function faultIn({ minValiditySeconds, signal, forceRefresh }) {
  if (minValiditySeconds !== undefined && !isDuration(minValiditySeconds)) {
    return 'minValiditySeconds: expected a non-negative number';
  }
  if (forceRefresh !== undefined && typeof forceRefresh !== 'boolean') {
    return 'forceRefresh: expected a boolean';
  }
  if (signal !== undefined && !isSignal(signal)) return 'signal: expected an AbortSignal';
  return undefined;
}

/** Rejects a method call on an object that is not a manager. */
function rejectDetached(method) {
  return Promise.reject(
    badRequest(
      `${method} was called on an object that is not a KeycloakTokenManager; ` +
        `call it as manager.${method}()`,
    ),
  );
}

module.exports = { checked, isDuration, rejectDetached };
