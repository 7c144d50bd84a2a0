'use strict';

// Runs the token endpoint of a scenario in its own process, so that no measurement includes its
// work.

const path = require('node:path');
const { RemoteProcess } = require('./remote.js');

const PROGRAM = path.join(__dirname, 'children', 'endpoint.js');

/**
 * Calls `use` with a token endpoint, and stops the endpoint afterwards. `counts()` returns the
 * number of requests and connections so far, and the TLS versions.
 *
 * @param {object} options
 * @param {number} [options.expiresIn] token lifetime in seconds, default 3600
 * @param {number} [options.delayMs] the delay of an answer, default 0
 * @param {boolean} [options.closeConnections] whether the endpoint ends the connection after each
 *   answer
 * @param {{ cert: string, key: string }} [options.tls] the certificate and key of an https endpoint
 * @param {(endpoint: { url: string, counts(): Promise<object> }) => unknown} use
 */
async function withEndpoint(options, use) {
  const endpoint = new RemoteProcess(PROGRAM, { env: { NODE_EXTRA_CA_CERTS: '' } });
  try {
    const url = await endpoint.ask('start', options);
    return await use({ url, counts: () => endpoint.ask('counts') });
  } finally {
    endpoint.kill();
  }
}

module.exports = { withEndpoint };
