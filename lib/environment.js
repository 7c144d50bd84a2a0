'use strict';

// The environment variables that concern token requests.

const { readExtraCaCerts } = require('./native.js');

// Node reads this file only when the process starts, so this package also ignores later changes.
readExtraCaCerts(process.env.NODE_EXTRA_CA_CERTS ?? '');

// Reads the environment for a new or changed manager.
function environment() {
  return {
    verifiesCertificates: process.env.NODE_TLS_REJECT_UNAUTHORIZED !== '0',
    httpsProxy: variable('HTTPS_PROXY'),
    httpProxy: variable('HTTP_PROXY'),
    noProxy: variable('NO_PROXY')?.value,
  };
}

// Returns the name and the value of a variable. A name in lower case takes precedence, as in other
// programs.
function variable(upper) {
  const lower = upper.toLowerCase();
  const name = process.env[lower] === undefined ? upper : lower;
  const value = process.env[name];
  // Tests may replace `process.env` with an object whose values are not all strings.
  return value === undefined ? undefined : { name, value: String(value) };
}

module.exports = { environment };
