'use strict';

// Measures many managers of one side: the time to construct them and to get their tokens, their
// memory, the threads that they start and, if the scenario requests it, the replacement of all
// tokens.

const fs = require('node:fs');
const http = require('node:http');
const { monitorEventLoopDelay } = require('node:perf_hooks');
const { setTimeout: sleep } = require('node:timers/promises');
const v8 = require('node:v8');
const { NS_PER_MS, median } = require('../measure.js');
const { makeOurs, makePlain } = require('../sides.js');

const LOOK_MS = 1;
/** The number of calls to each manager per second while the managers replace their tokens. */
const CALLS_PER_SECOND = 5;
const SETTLE_MS = 60;
const SETTLE_ROUNDS = 3;
/**
 * The package's own limit for one origin. Without a limit, the plain class would open a socket for
 * each manager.
 */
const SOCKETS = 64;
const NODE_POOL = 4;

const threads = () => fs.readdirSync('/proc/self/task').length;

/**
 * Returns the memory in use after garbage collection, without the room that V8 reserves for new
 * objects. That room depends on the earlier load of the process, and V8 releases it over time.
 */
async function memory() {
  for (let round = 0; round < SETTLE_ROUNDS; round += 1) {
    gc();
    await sleep(SETTLE_MS);
  }
  const { total_physical_size: room, used_heap_size: js } = v8.getHeapStatistics();
  return process.memoryUsage.rss() - room + js;
}

/**
 * Calls all managers in turn, a few each millisecond, until each manager has returned a new token.
 */
function replaceAll(managers, tokens, onLook) {
  const batch = Math.ceil((managers.length * CALLS_PER_SECOND * LOOK_MS) / 1000);
  const missing = new Set(managers.keys());
  let next = 0;
  return new Promise((resolve, reject) => {
    const see = (index, token) => {
      if (token === tokens[index] || !missing.delete(index) || missing.size > 0) return;
      clearInterval(timer);
      resolve();
    };
    const timer = setInterval(() => {
      onLook();
      for (let call = 0; call < batch; call += 1) {
        const index = next;
        next = (next + 1) % managers.length;
        managers[index].getToken().then((token) => see(index, token), reject);
      }
    }, LOOK_MS);
  });
}

function makerOf({ side, url, secretFile }) {
  if (side === 'ours') {
    const secret = secretFile && { clientSecret: undefined, clientSecretFile: secretFile };
    return (clientId) => makeOurs(url, { clientId, ...secret });
  }
  if (side === 'derived') {
    const parent = makeOurs(url);
    return (scope) => parent.for({ scope });
  }
  const agent = new http.Agent({ keepAlive: true, maxSockets: SOCKETS });
  return (clientId) => makePlain(url, { clientId, agent, tokenExpiryBufferSeconds: 1 });
}

module.exports = async ({ count, makings = 1, replacedAfterSeconds, ...options }) => {
  const make = makerOf(options);
  // Before the measurement, starts Node's own threads and loads everything that a first manager
  // needs.
  await Promise.all(Array.from({ length: NODE_POOL }, () => fs.promises.readFile(__filename)));
  await sleep(SETTLE_MS);
  const threadsBefore = threads();
  let mostThreads = threadsBefore;
  const countThreads = () => {
    mostThreads = Math.max(mostThreads, threads());
  };
  const first = make('bench-first');
  const tokenBytes = (await first.getToken()).length;
  const before = await memory();

  const makeAll = (round) =>
    Array.from({ length: count }, (_, index) => make(`bench-${round}-${index}`));
  const times = [];
  for (let round = 1; round < makings; round += 1) {
    const start = performance.now();
    makeAll(round);
    times.push(performance.now() - start);
  }
  const start = performance.now();
  const managers = makeAll(0);
  times.push(performance.now() - start);
  const constructMs = median(times);
  await memory();

  countThreads();
  const looking = setInterval(countThreads, LOOK_MS);
  const asked = performance.now();
  const tokens = await Promise.all(managers.map((manager) => manager.getToken()));
  const tokensMs = performance.now() - asked;
  clearInterval(looking);
  const heldBytes = ((await memory()) - before) / count;
  // Keeps V8 from collecting the managers before this point.
  await first.getToken();

  const result = { constructMs, tokensMs, heldBytes, tokenBytes };
  if (replacedAfterSeconds !== undefined) {
    await sleep(asked + replacedAfterSeconds * 1000 - performance.now());
    const delay = monitorEventLoopDelay({ resolution: LOOK_MS });
    delay.enable();
    await replaceAll(managers, tokens, countThreads);
    delay.disable();
    result.stormDelayMs = Math.max(0, delay.percentile(99) / NS_PER_MS - LOOK_MS);
  }
  return { ...result, threads: mostThreads - threadsBefore };
};
