'use strict';

// The environment variables that concern token requests.

const { readExtraCaCerts } = require('./native.js');

// Node reads this file when the process starts, so this package ignores later changes, too.
readExtraCaCerts(process.env.NODE_EXTRA_CA_CERTS ?? '');

// Reads the environment for a new or changed manager. Lower-case names take precedence, as in other
// programs.
function environment() {
  const { env } = process;
  return {
    verifiesCertificates: env.NODE_TLS_REJECT_UNAUTHORIZED !== '0',
    httpsProxy: env.https_proxy ?? env.HTTPS_PROXY,
    httpProxy: env.http_proxy ?? env.HTTP_PROXY,
    noProxy: env.no_proxy ?? env.NO_PROXY,
  };
}

module.exports = { environment };
