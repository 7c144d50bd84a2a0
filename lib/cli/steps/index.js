'use strict';

// The steps of the doctor, in order. Each is `{ name, needs, run(context, signal) }`.

module.exports = [
  ...require('./options.js').steps,
  ...require('./network.js').steps,
  ...require('./tls.js').steps,
  ...require('./discovery.js').steps,
  ...require('./credential.js').steps,
  ...require('./token.js').steps,
  ...require('./api.js').steps,
];
