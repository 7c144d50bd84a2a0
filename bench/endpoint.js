'use strict';

// Starts the token endpoint of a scenario in a process of its own, so that its work is on nobody's
// account.

const { fork } = require('node:child_process');
const path = require('node:path');

const START_LIMIT_MS = 10_000;

/**
 * @param {object} [options]
 * @param {number} [options.expiresIn] life of a token in seconds, default 3600
 * @param {number} [options.delayMs] how long an answer takes, default 0
 * @param {boolean} [options.closeConnections] end the connection after each answer
 * @param {{ cert: string, key: string }} [options.tls] speak https
 */
async function startEndpoint(options = {}) {
  const child = fork(path.join(__dirname, 'children', 'endpoint.js'), [], {
    env: { ...process.env, NODE_EXTRA_CA_CERTS: '' },
  });
  const { port } = await ask(child, options);
  return {
    url: `${options.tls ? 'https' : 'http'}://127.0.0.1:${port}/token`,
    /** How many requests and connections there were so far, and by which versions of TLS. */
    counts: () => ask(child, 'counts'),
    stop: () => child.disconnect(),
  };
}

function ask(child, message) {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(
      () => settle(new Error('the token endpoint does not answer')),
      START_LIMIT_MS,
    );
    const onExit = (code) => settle(new Error(`the token endpoint ended with code ${code}`));
    const onMessage = (answer) => settle(undefined, answer);
    const settle = (error, answer) => {
      clearTimeout(timer);
      child.off('exit', onExit);
      child.off('message', onMessage);
      if (error) reject(error);
      else resolve(answer);
    };
    child.on('exit', onExit);
    child.on('message', onMessage);
    child.send(message);
  });
}

module.exports = { startEndpoint };
