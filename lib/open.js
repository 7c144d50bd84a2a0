'use strict';

const { environment } = require('./environment.js');
const { internal } = require('./error.js');
const native = require('./native.js');

// Native code returns failures as data, even an exception from a getter in the options, so it
// throws only if it has a bug. No closure captures the options, because sibling closures would keep
// the secret alive.
function open(options, listener) {
  try {
    return native.open(options, environment(), listener);
  } catch (cause) {
    throw internal(cause);
  }
}

module.exports = { open };
