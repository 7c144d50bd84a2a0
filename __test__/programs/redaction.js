'use strict';

// Argument: a file with cases. Opens a manager for every case, and prints everything that the
// manager shows. The program is a separate process, so that the test also sees native output.

const fs = require('node:fs');
const { inspect } = require('node:util');
const { KeycloakTokenManager } = require('../..');
const { tell } = require('./program.js');

/** The number of cases that run at the same time. */
const AT_ONCE = 16;

const deeply = (value) => inspect(value, { depth: 9, showHidden: true });
const shownBy = (value) => [String(value), `${JSON.stringify(value)}`, deeply(value)];

/** Everything that an error and its causes show. */
function* shownByError(error) {
  const seen = new Set();
  for (let one = error; one instanceof Error && !seen.has(one); one = one.cause) {
    seen.add(one);
    yield* [...shownBy(one), `${one.stack}`];
    for (const name of Object.getOwnPropertyNames(one)) yield `${name} ${String(one[name])}`;
  }
}

/** Runs one case. Returns everything that the manager shows, and the code of every failure. */
async function play({ options, secretFunction, callOptions = {}, acquisitions = 1 }) {
  const shown = [];
  const outcomes = [];
  const failed = (error) => {
    outcomes.push(error.code ?? String(error));
    shown.push(...shownByError(error));
  };
  const log = (...args) => shown.push(`${args.map(String)} ${deeply(args)}`);
  const logger = { error: log, warn: log, info: log, debug: log };
  const credential = secretFunction ? { clientSecret: async () => secretFunction } : {};
  let manager;
  try {
    manager = new KeycloakTokenManager({ logger, ...options, ...credential });
  } catch (error) {
    failed(error);
    return { shown, outcomes };
  }
  for (let number = 0; number < acquisitions; number += 1) {
    const call = { ...callOptions, ...(number > 0 && { forceRefresh: true }) };
    await manager.getAccessToken(call).then(() => outcomes.push('token'), failed);
    shown.push(...shownBy(manager), ...shownBy(manager.snapshot()));
  }
  // Log lines arrive in a later turn.
  await new Promise(setImmediate);
  await manager.close();
  shown.push(...shownBy(manager), ...shownBy(manager.snapshot()));
  return { shown, outcomes };
}

const waiting = JSON.parse(fs.readFileSync(process.argv[2], 'utf8')).entries();
for (let count = 0; count < AT_ONCE; count += 1) work();

async function work() {
  for (const [index, one] of waiting) tell({ index, ...(await play(one)) });
}
