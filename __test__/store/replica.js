'use strict';

// One replica of a fleet. Connects to the store, says so, and asks for a token when the test lets it
// continue, 20 times a second for the given time. Prints how the first call ended, and at last all.

const { createRequire } = require('node:module');
const path = require('node:path');
const { setTimeout: delay } = require('node:timers/promises');
const { fromNodeRedis } = require('../../lib/store');
const { open, tell, told } = require('../programs/program.js');

const INTERVAL_MS = 50;
const STORE_KEY = 'a-key-that-all-replicas-of-the-test-have';

const [, modules, port, seconds] = process.argv.slice(2);
const { createClient } = createRequire(path.join(modules, 'index.js'))('redis');

async function timed(call) {
  const startMs = performance.now();
  const failed = await call().then(
    () => undefined,
    ({ message }) => message,
  );
  return { failed, tookMs: performance.now() - startMs };
}

async function main() {
  const client = createClient({ url: `redis://127.0.0.1:${port}` });
  const store = fromNodeRedis(client);
  await client.connect();
  const manager = open({ store, storeKey: STORE_KEY });
  tell('connected');
  await told();
  const first = await timed(() => manager.getToken());
  tell(first);
  const calls = [];
  const end = performance.now() + seconds * 1_000;
  while (performance.now() < end) {
    calls.push(timed(() => manager.getToken()));
    await delay(INTERVAL_MS);
  }
  const ended = await Promise.all(calls);
  tell({
    failed: [first, ...ended].map(({ failed }) => failed).filter((text) => text !== undefined),
    tookMs: ended.map(({ tookMs }) => tookMs),
  });
  await manager.close();
  client.destroy();
}

main();
