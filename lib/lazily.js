'use strict';

/**
 * Returns a function that calls `load` at its first call only, and returns the result at every call.
 * Bundlers find a `require` inside `load`; each call of `require` itself costs some microseconds.
 */
function lazily(load) {
  let loaded;
  return () => {
    loaded ??= load();
    return loaded;
  };
}

module.exports = { lazily };
