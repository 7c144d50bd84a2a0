'use strict';

// Helpers of the programs in this folder.

const { isMainThread, workerData } = require('node:worker_threads');
const { KeycloakTokenManager } = require('../..');

/** Prints a value for the test that started this program. */
function tell(value) {
  process.stdout.write(`${JSON.stringify(value)}\n`);
}

/** Fulfils when the test calls `goOn()`; only this wait keeps the process alive. */
function told() {
  return new Promise((resolve) => {
    process.stdin.once('data', () => {
      process.stdin.pause().unref();
      resolve();
    });
  });
}

/** The first argument, which workers get as `workerData.endpoint`. */
const endpoint = isMainThread ? process.argv[2] : workerData?.endpoint;

/** A manager for the endpoint. */
function open(options = {}) {
  return new KeycloakTokenManager({
    tokenEndpoint: endpoint,
    clientId: 'test-client',
    clientSecret: 'test-secret',
    ...options,
  });
}

/** Blocks this thread. */
function block(ms) {
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, ms);
}

/** Collects garbage until `isDone()`, for a limited time. */
async function collect(isDone) {
  for (let round = 0; round < 50; round += 1) {
    globalThis.gc();
    // A weak reference that the program dereferenced keeps its target until the end of the turn.
    await new Promise(setImmediate);
    if (isDone()) return;
    await new Promise(setImmediate);
  }
}

module.exports = { block, collect, endpoint, open, tell, told };
