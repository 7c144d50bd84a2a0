'use strict';

// What one acquisition costs: time until the token is there, and CPU time of the main thread and of
// the whole process.

const { setFlagsFromString } = require('node:v8');
const { runInNewContext } = require('node:vm');
const { median, threadCpuNs, threadCpuOverheadNs } = require('./measure.js');

const NS_PER_US = 1000;
let overheadNs;

setFlagsFromString('--expose-gc');
const collect = runInNewContext('gc');

/** So many, one after the other, of a side that `loadSide` made: ms that each took. Does little else, since that counts, too. */
async function acquireMany(manager, count) {
  const times = new Float64Array(count);
  for (let i = 0; i < count; i += 1) {
    const start = performance.now();
    await manager.acquire();
    times[i] = performance.now() - start;
  }
  return times;
}

/**
 * The same. Gives the median of their times in ms, and the CPU time for one in µs, of the main
 * thread and of all threads.
 */
async function acquireBlock(manager, count) {
  // Garbage of loading or of another side is on nobody's account here.
  collect({ type: 'minor' });
  // So that the block begins and ends at the same place in a turn of the loop.
  await turnOfTheLoop();
  const cpuBefore = process.cpuUsage();
  const mainBefore = threadCpuNs();
  const times = await acquireMany(manager, count);
  // What a client leaves for later is on its own account.
  await turnOfTheLoop();
  const mainNs = threadCpuNs() - mainBefore;
  const { user, system } = process.cpuUsage(cpuBefore);
  // Afterwards: it takes a pause, after which the processor's caches are cold.
  overheadNs ??= threadCpuOverheadNs();
  return {
    wall: median(times),
    main: (mainNs - overheadNs) / NS_PER_US / count,
    all: (user + system) / count,
  };
}

function turnOfTheLoop() {
  return new Promise((resolve) => setImmediate(resolve));
}

module.exports = { acquireBlock, acquireMany };
