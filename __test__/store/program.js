'use strict';

// Opens a store and makes the calls that the test sends, one in each line: `["get", "key"]`. Prints
// the outcome of each call, which must end within a manager's time limit. `["end"]` closes the
// client, if the application owns the client; the program then ends as soon as no handle keeps it
// running.

const readline = require('node:readline');
const { tell } = require('../programs/program.js');
const { openStore } = require('./stores.js');

/** A manager's time limit for each call. */
const LIMIT_MS = 250;

const { store, end } = openStore(...process.argv.slice(2));

/** Returns `{ value }` or `{ rejected }`; `{ pending }` after the limit. */
function outcomeOf(method, args) {
  const ended = store[method]?.(...args).then(
    (value) => ({ value: value ?? null }),
    ({ message }) => ({ rejected: message }),
  );
  const limit = new Promise((resolve) => {
    setTimeout(resolve, LIMIT_MS, { pending: true });
  });
  return Promise.race([ended ?? { value: null }, limit]);
}

const lines = readline.createInterface({ input: process.stdin });
lines.on('line', async (line) => {
  const [method, ...args] = JSON.parse(line);
  if (method !== 'end') return tell(await outcomeOf(method, args));
  process.stdin.unref();
  end?.();
});
