'use strict';

// One replica of a fleet. Connects to the store and reports the connection. When the test lets it
// continue, it calls `getToken` 20 times a second, until the test lets it continue again or the
// given time is over. Prints the outcome of the first call, and at the end the outcomes of all
// calls.

const { once } = require('node:events');
const readline = require('node:readline');
const { setTimeout: delay } = require('node:timers/promises');
const { open, tell } = require('../programs/program.js');
const { openStore } = require('./stores.js');

const INTERVAL_MS = 50;
const STORE_KEY = 'a-key-that-all-replicas-of-the-test-have';

const [, seconds, ...settings] = process.argv.slice(2);

async function timed(call) {
  const startMs = performance.now();
  const failed = await call().then(
    () => undefined,
    ({ message }) => message,
  );
  return { failed, tookMs: performance.now() - startMs };
}

async function main() {
  const lines = readline.createInterface({ input: process.stdin });
  const { store, end } = openStore(...settings);
  await store.get('connected');
  const warnings = [];
  const ignore = () => {};
  const logger = {
    error: ignore,
    warn: (text) => warnings.push(text),
    info: ignore,
    debug: ignore,
  };
  const manager = open({ store, storeKey: STORE_KEY, logger });
  tell('connected');
  await once(lines, 'line');
  const first = await timed(() => manager.getToken());
  tell(first);
  const calls = [];
  let isOver = false;
  lines.once('line', () => {
    isOver = true;
  });
  const endMs = performance.now() + seconds * 1_000;
  while (!isOver && performance.now() < endMs) {
    calls.push(timed(() => manager.getToken()));
    await delay(INTERVAL_MS);
  }
  const ended = await Promise.all(calls);
  tell({
    failed: [first, ...ended].map(({ failed }) => failed).filter((text) => text !== undefined),
    tookMs: ended.map(({ tookMs }) => tookMs),
    warnings,
    counters: manager.snapshot().counters,
  });
  await manager.close();
  end?.();
  process.stdin.unref();
}

main();
