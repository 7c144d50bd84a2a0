'use strict';

/**
 * Returns a function that calls `load` once and then always returns the result. Each call of
 * `require` searches for the module again, and bundlers find only a `require` with a literal name,
 * so `load` is a function such as `() => require('./dpop.js')`.
 */
function lazily(load) {
  let loaded;
  return () => {
    loaded ??= load();
    return loaded;
  };
}

module.exports = { lazily };
