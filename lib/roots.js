'use strict';

const native = require('./native.js');
const { trustedByNode } = require('./trusted-by-node.js');

/**
 * Gives the native side Node's certificates. Without them, the manager trusts only the certificates
 * in the options, and a TLS error says so.
 */
function handOverRoots() {
  let pem = '';
  try {
    pem = trustedByNode();
  } catch {
    // Node cannot list its certificates. The error of the request then says so.
  }
  native.trust(pem);
}

module.exports = { handOverRoots };
