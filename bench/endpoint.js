'use strict';

// Runs the token endpoint of a scenario in its own process, so that its work is not measured.

const { fork } = require('node:child_process');
const { once } = require('node:events');
const path = require('node:path');

const PROGRAM = path.join(__dirname, 'children', 'endpoint.js');

/**
 * Calls `use` with a token endpoint, and stops the endpoint afterwards. `counts()` returns the
 * number of requests and connections so far, and the versions of TLS.
 *
 * @param {object} options
 * @param {number} [options.expiresIn] life of a token in seconds, default 3600
 * @param {number} [options.delayMs] how long an answer takes, default 0
 * @param {boolean} [options.closeConnections] end the connection after each answer
 * @param {{ cert: string, key: string }} [options.tls] use https
 * @param {(endpoint: { url: string, counts(): Promise<object> }) => unknown} use
 */
async function withEndpoint(options, use) {
  const child = fork(PROGRAM, [], { env: { ...process.env, NODE_EXTRA_CA_CERTS: '' } });
  const ended = once(child, 'exit').then(([code]) => {
    throw new Error(`the token endpoint ended with code ${code}`);
  });
  // It may end while nobody waits for an answer.
  ended.catch(() => {});
  const ask = async (message) => {
    const answer = once(child, 'message');
    child.send(message);
    return (await Promise.race([answer, ended]))[0];
  };
  try {
    const { port } = await ask(options);
    const url = `${options.tls ? 'https' : 'http'}://127.0.0.1:${port}/token`;
    return await use({ url, counts: () => ask('counts') });
  } finally {
    if (child.connected) child.disconnect();
  }
}

module.exports = { withEndpoint };
