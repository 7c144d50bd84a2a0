'use strict';

// Run as a separate process, so that the test also sees the output of native code: opens a manager
// for every case, and returns everything that it shows.

const { inspect } = require('node:util');
const { KeycloakTokenManager } = require('../..');

/** The cases that run at once. */
const AT_ONCE = 16;

const deeply = (value) => inspect(value, { depth: 9, showHidden: true });

/** A logger that keeps all arguments. */
function recorder() {
  const lines = [];
  const logger = {};
  for (const level of ['error', 'warn', 'info', 'debug']) {
    logger[level] = (...args) => lines.push(`${level} ${args.map(String)} ${deeply(args)}`);
  }
  return { logger, lines };
}

/** Everything that an error and its causes show. */
function* shownBy(error) {
  const seen = new Set();
  for (let one = error; one instanceof Error && !seen.has(one); one = one.cause) {
    seen.add(one);
    yield* [String(one), one.message, `${one.stack}`, `${JSON.stringify(one)}`, deeply(one)];
    for (const name of Object.getOwnPropertyNames(one)) yield `${name} ${String(one[name])}`;
  }
}

function* shownByManager(manager) {
  const snapshot = manager.snapshot();
  yield* [JSON.stringify(snapshot), deeply(snapshot)];
  yield* [String(manager), `${JSON.stringify(manager)}`, deeply(manager)];
}

/** One case: everything that it shows, and the code of every failure. */
async function play({ options, secretFunction, callOptions = {}, acquisitions = 1 }) {
  const { logger, lines } = recorder();
  const shown = [];
  const outcomes = [];
  const failed = (error) => {
    outcomes.push(error.code ?? String(error));
    shown.push(...shownBy(error));
  };
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
    shown.push(...shownByManager(manager));
  }
  // Log lines arrive in a later turn.
  await new Promise(setImmediate);
  await manager.close();
  shown.push(...shownByManager(manager), ...lines);
  return { shown, outcomes };
}

process.once('message', async (cases) => {
  const waiting = cases.entries();
  const work = async () => {
    for (const [index, one] of waiting) process.send({ index, ...(await play(one)) });
  };
  await Promise.all(Array.from({ length: AT_ONCE }, work));
  process.disconnect();
});
