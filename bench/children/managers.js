'use strict';

// Arguments: side, token endpoint, number of managers, seconds after which their tokens are
// replaced (0: not waited for), path of a secret file (none: the secret is given). Prints what they
// cost: time to construct and to have tokens, memory, the storm when all tokens are replaced, and
// the threads that were started.

const fs = require('node:fs');
const http = require('node:http');
const { monitorEventLoopDelay } = require('node:perf_hooks');
const v8 = require('node:v8');
const vm = require('node:vm');
const { NS_PER_MS } = require('../measure.js');
const { makeOurs, makePlain } = require('../sides.js');

const [, , side, url, number, replacedAfter, secretFile] = process.argv;
const count = Number(number);
const dueMs = Number(replacedAfter) * 1000;
const LOOK_MS = 1;
/** Each manager is called about as often in a second. */
const CALLS_PER_SECOND = 5;
const SETTLE_MS = 60;
const SETTLE_ROUNDS = 3;
/** As many as ours has for one origin: without a bound there would be a socket for each manager. */
const SOCKETS = 64;
const NODE_POOL = 4;

v8.setFlagsFromString('--expose-gc');
const collectGarbage = vm.runInNewContext('gc');

const agent = new http.Agent({ keepAlive: true, maxSockets: SOCKETS });
const ofSide = {
  ours: (clientId) => makeOurs(url, { clientId, ...secretOption() }),
  plain: (clientId) => makePlain(url, { clientId, agent, tokenExpiryBufferSeconds: 1 }),
};

function secretOption() {
  return secretFile ? { clientSecret: undefined, clientSecretFile: secretFile } : {};
}

function threads() {
  return fs.readdirSync('/proc/self/task').length;
}

const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

/**
 * Memory in use once everything that may go has gone. What V8 holds ready for objects to come is
 * taken off: it depends on how busy a process was, whatever with, and is given back with time.
 */
async function memory() {
  for (let round = 0; round < SETTLE_ROUNDS; round += 1) {
    collectGarbage();
    await sleep(SETTLE_MS);
  }
  const { total_physical_size: room, used_heap_size: js } = v8.getHeapStatistics();
  return { native: process.memoryUsage.rss() - room, js };
}

/** Calls all managers in turn, a few each millisecond, until each gave another token than before. */
function storm(managers, tokens, onLook) {
  const batch = Math.ceil((count * CALLS_PER_SECOND * LOOK_MS) / 1000);
  const missing = new Set(managers.keys());
  let next = 0;
  let first;
  return new Promise((resolve, reject) => {
    const see = (index, token) => {
      if (token === tokens[index]) return;
      first ??= performance.now();
      if (!missing.delete(index) || missing.size > 0) return;
      clearInterval(timer);
      resolve(performance.now() - first);
    };
    const timer = setInterval(() => {
      onLook();
      for (let call = 0; call < batch; call += 1) {
        const index = next;
        next = (next + 1) % count;
        managers[index].getToken().then((token) => see(index, token), reject);
      }
    }, LOOK_MS);
  });
}

async function main() {
  // What one manager brings in, and Node's own threads, are there before it counts.
  await Promise.all(Array.from({ length: NODE_POOL }, () => fs.promises.readFile(__filename)));
  await sleep(SETTLE_MS);
  const threadsBefore = threads();
  const first = ofSide[side]('bench-first');
  const length = (await first.getToken()).length;
  const before = await memory();

  const managers = new Array(count);
  const start = performance.now();
  for (let index = 0; index < count; index += 1) managers[index] = ofSide[side](`bench-${index}`);
  const constructMs = performance.now() - start;
  const constructed = await memory();

  let mostThreads = threads();
  const looking = setInterval(() => {
    mostThreads = Math.max(mostThreads, threads());
  }, LOOK_MS);
  const asked = performance.now();
  const tokens = await Promise.all(managers.map((manager) => manager.getToken()));
  const tokensMs = performance.now() - asked;
  clearInterval(looking);
  const held = await memory();

  const result = {
    constructMs,
    tokensMs,
    constructedBytes: per(constructed, before),
    heldBytes: per(held, before),
    tokenBytes: length,
  };
  if (dueMs > 0) {
    await sleep(asked + dueMs - performance.now());
    const delay = monitorEventLoopDelay({ resolution: LOOK_MS });
    delay.enable();
    result.stormMs = await storm(managers, tokens, () => {
      mostThreads = Math.max(mostThreads, threads());
    });
    delay.disable();
    const ms = (ns) => Math.max(0, ns / NS_PER_MS - LOOK_MS);
    result.stormDelayMs = { p50: ms(delay.percentile(50)), p99: ms(delay.percentile(99)) };
    result.stormDelayMs.worst = ms(delay.max);
    tokens.length = 0;
    result.afterStormBytes = per(await memory(), before);
  }
  // All of them are there to the end.
  result.managers = managers.length;
  result.threads = mostThreads - threadsBefore;
  process.stdout.write(JSON.stringify(result), () => process.exit());
}

function per(now, before) {
  return { native: (now.native - before.native) / count, js: (now.js - before.js) / count };
}

main();
