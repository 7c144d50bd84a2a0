'use strict';

/**
 * Returns a function that calls `load` once and then always returns the result. Each call of
 * `require` would look the module up again. `load` calls `require` with a literal name, because
 * bundlers find only such names.
 */
function lazily(load) {
  let loaded;
  return () => {
    loaded ??= load();
    return loaded;
  };
}

module.exports = { lazily };
