'use strict';

// Measures reads while the manager holds a token: nanoseconds per call of each side, round by
// round. With `threads`, each of that many workers has a manager of each side, and all workers read
// from the same side at the same time. The result is then the wall time divided by the calls of all
// workers.

const { once } = require('node:events');
const { Worker, isMainThread, parentPort, workerData } = require('node:worker_threads');
const { NS_PER_MS, measureSides, median } = require('../measure.js');
const { Floor, loadSide } = require('../sides.js');

const WARM_UP = 3;
const PROBE_CALLS = 200;
const LEAST_CALLS = 100;

/**
 * Makes this number of reads, one after the other; returns nanoseconds per read. All sides share
 * the loop, so that V8 treats all sides alike when it inlines calls.
 */
async function readMany(manager, calls) {
  const start = performance.now();
  for (let call = 0; call < calls; call += 1) await manager.getToken();
  return ((performance.now() - start) * NS_PER_MS) / calls;
}

/**
 * Returns the number of reads that take this time, from `LEAST_CALLS` to `most`. Some sides are
 * 1,000 times slower than others.
 */
async function callsFor(manager, milliseconds, most) {
  await readMany(manager, PROBE_CALLS);
  const calls = Math.round((milliseconds * NS_PER_MS) / (await readMany(manager, PROBE_CALLS)));
  return Math.min(Math.max(calls, LEAST_CALLS), most);
}

/**
 * Makes a manager of each side and gets its token. `preload` lists the sides that only change the
 * process.
 */
async function makeReader({ url, names, preload = [] }) {
  for (const name of preload) await loadSide(name);
  const sides = {};
  const held = {};
  for (const name of names) {
    if (name === 'floor') sides[name] = new Floor(held.ours);
    else sides[name] = (await loadSide(name))(url);
    held[name] = await sides[name].getToken();
  }
  return {
    callsFor: (name, turnMs, most) => callsFor(sides[name], turnMs, most),
    read: (name, calls) => readMany(sides[name], calls),
    /** Rejects if a side has replaced its token. */
    async check() {
      for (const [name, manager] of Object.entries(sides)) {
        if ((await manager.getToken()) !== held[name]) throw new Error(`${name}: another token`);
      }
    },
  };
}

async function startWorkers(count, options) {
  const start = () => new Worker(__filename, { workerData: options });
  const workers = Array.from({ length: count }, start);
  const answers = () => Promise.all(workers.map((worker) => once(worker, 'message')));
  await answers();
  return async (...question) => {
    const all = answers();
    for (const worker of workers) worker.postMessage(question);
    return (await all).map(([answer]) => answer);
  };
}

module.exports = async ({ threads, rounds, most, turnMs, ...options }) => {
  let ask;
  if (threads === undefined) {
    const reader = await makeReader(options);
    ask = async (method, ...args) => [await reader[method](...args)];
  } else {
    ask = await startWorkers(threads, options);
  }
  const calls = {};
  for (const name of options.names) {
    calls[name] = Math.round(median(await ask('callsFor', name, turnMs, most)));
  }
  const perCall = await measureSides(options.names, { rounds, warmUp: WARM_UP }, async (name) => {
    const start = performance.now();
    await ask('read', name, calls[name]);
    return ((performance.now() - start) * NS_PER_MS) / calls[name] / (threads ?? 1);
  });
  await ask('check');
  return perCall;
};

if (!isMainThread) {
  makeReader(workerData).then((reader) => {
    parentPort.on('message', async ([method, ...args]) => {
      parentPort.postMessage(await reader[method](...args));
    });
    parentPort.postMessage('ready');
  });
}
