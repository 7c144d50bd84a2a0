'use strict';

// Argument: settings as JSON. Runs callers on this thread and on workers that come and go; prints
// violations at once, and a summary at the end.

const { once } = require('node:events');
const { setTimeout: delay } = require('node:timers/promises');
const { Worker, isMainThread, parentPort, workerData } = require('node:worker_threads');
const { block, tell } = require('../programs/program.js');
const { Caller, KINDS } = require('./caller.js');
const { random } = require('./random.js');

/** The interval of calls, and the most calls by a caller at a time. */
const TICK_MS = 20;
const MOST_CALLS_A_TICK = 3;
/** A tick that is later than this was blocked. */
const LATE_MS = 10;
const WORKERS_AT_ONCE = 2;
const CALLERS_IN_A_WORKER = 2;

const settings = isMainThread ? JSON.parse(process.argv[2]) : workerData;
const chance = random(settings.seed, settings.thread);

/** The state that the callers of this thread share. */
const world = {
  counts: {},
  blockedBeforeMs: 0,
  lastTick: performance.now(),
  /** The time for which the event loop was blocked, a block that has just ended included. */
  get blockedMs() {
    const late = performance.now() - this.lastTick - TICK_MS;
    return this.blockedBeforeMs + (late > LATE_MS ? late : 0);
  },
  longestWaitMs: 0,
  waited(ms) {
    this.longestWaitMs = Math.max(this.longestWaitMs, ms);
  },
  report: (violation) => hand({ violation }),
  seen: (token, manager) => hand({ token, manager }),
  retired: (manager) => hand({ retired: manager }),
};

/** The manager of each token. */
const owners = new Map();
const totals = { counts: {}, retired: [], longestWaitMs: 0, violations: 0 };

/** Records an event of any thread on the main thread. */
function note({ violation, token, manager, retired, counts, longestWaitMs }) {
  if (violation !== undefined) {
    totals.violations += 1;
    tell({ violation });
  }
  if (token !== undefined) {
    const owner = owners.get(token) ?? manager;
    owners.set(token, owner);
    if (owner !== manager) note({ violation: `${manager} has a token of ${owner}` });
  }
  if (retired !== undefined) totals.retired.push(retired);
  if (counts === undefined) return;
  for (const [name, count] of Object.entries(counts)) {
    totals.counts[name] = (totals.counts[name] ?? 0) + count;
  }
  totals.longestWaitMs = Math.max(totals.longestWaitMs, longestWaitMs);
}

const hand = isMainThread ? note : (message) => parentPort.postMessage(message);

function callers(count) {
  const { clients, files, tokenEndpoint, api, thread } = settings;
  return Array.from({ length: count }, (_, index) => {
    const kind = KINDS[index % KINDS.length];
    // Two callers for each client: equal options, and never one token.
    const client = clients[Math.floor(index / 2) % clients.length];
    const own = { name: `${thread}-${kind}-${index}`, kind, client, file: files[client] };
    return new Caller({ ...own, tokenEndpoint, api }, chance, world);
  });
}

/** Lets callers call for so long, blocks the event loop now and then, and waits for the rest. */
async function load(all, ms) {
  const end = performance.now() + ms;
  world.lastTick = performance.now();
  let nextBlock = world.lastTick + chance.between(1_000, 4_000);
  const ticking = setInterval(() => {
    world.blockedBeforeMs = world.blockedMs;
    const now = performance.now();
    world.lastTick = now;
    if (now >= end) return;
    for (const caller of all) {
      for (let calls = chance.between(0, MOST_CALLS_A_TICK); calls >= 1; calls -= 1) caller.call();
    }
    if (now < nextBlock) return;
    block(chance.pick([20, 100, 400, 1_500]));
    nextBlock = performance.now() + chance.between(1_000, 4_000);
  }, TICK_MS);
  await delay(ms);
  const closing = chance.next() < 0.5 || isMainThread;
  if (closing) await Promise.all(all.map((caller) => caller.end()));
  clearInterval(ticking);
  hand({ counts: world.counts, longestWaitMs: world.longestWaitMs });
}

/** Workers, one after the other, each of which ends in its own way. */
async function runWorkers(line, end) {
  for (let round = 1; performance.now() < end; round += 1) {
    const ms = chance.between(300, 4_000);
    const way = chance.pick(['ends', 'exits', 'is terminated']);
    const thread = `worker ${line}.${round}`;
    const worker = new Worker(__filename, { workerData: { ...settings, thread, ms, way } });
    worker.on('message', note);
    worker.on('error', (error) => note({ violation: `${thread}: ${error.stack}` }));
    const exited = once(worker, 'exit');
    if (way === 'is terminated') {
      await delay(ms);
      await worker.terminate();
    }
    await exited;
    note({ counts: { workers: 1, [`workers: ${way}`]: 1 }, longestWaitMs: 0 });
  }
}

async function main() {
  const ms = settings.seconds * 1_000;
  const end = performance.now() + ms;
  const lines = Array.from({ length: WORKERS_AT_ONCE }, (_, line) => runWorkers(line, end));
  await Promise.all([load(callers(2 * settings.clients.length), ms), ...lines]);
  tell({ ...totals, tokens: owners.size });
}

async function work() {
  const loading = load(callers(CALLERS_IN_A_WORKER), settings.ms);
  if (settings.way !== 'exits') return loading;
  await delay(settings.ms - chance.between(0, 200));
  hand({ counts: world.counts, longestWaitMs: world.longestWaitMs });
  setImmediate(() => process.exit(0));
}

if (isMainThread) main();
else work();
