'use strict';

// Helpers that the programs of this folder share.

const { KeycloakTokenManager } = require('../..');

/** Prints a value for the test that started this program. */
function tell(value) {
  process.stdout.write(`${JSON.stringify(value)}\n`);
}

/** When the test says so. Waiting for it holds the process; nothing of it is left afterwards. */
function told() {
  return new Promise((resolve) => {
    process.stdin.once('data', () => {
      process.stdin.pause().unref();
      resolve();
    });
  });
}

/** A manager for the endpoint that the program was given as its first argument. */
function open(options = {}) {
  return new KeycloakTokenManager({
    tokenEndpoint: process.argv[2],
    clientId: 'test-client',
    clientSecret: 'test-secret',
    ...options,
  });
}

/** Keeps this thread waiting. */
function block(ms) {
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, ms);
}

/** Collects garbage until that is done, or it is clear that it will not be. */
async function collect(isDone) {
  for (let round = 0; round < 50; round += 1) {
    globalThis.gc();
    // What a weak reference gave stays until the turn is over, so the question comes after one.
    await new Promise(setImmediate);
    if (isDone()) return;
    await new Promise(setImmediate);
  }
}

module.exports = { block, collect, open, tell, told };
