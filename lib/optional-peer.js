'use strict';

/**
 * Loads `@opentelemetry/api`. Returns the module as `api`, or the error as `cause`. The call of
 * `require` is in a `try`, so that a bundler accepts a missing package. `tools/package` copies this
 * module unchanged, so the module requires no other module.
 */
function loadPeer() {
  try {
    return { api: require('@opentelemetry/api') };
  } catch (cause) {
    return { cause };
  }
}

module.exports = { loadPeer };
