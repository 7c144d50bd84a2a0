'use strict';

// Measures one acquisition: the time until the token arrives, and the CPU time of the main thread
// and of the whole process.

const { setFlagsFromString } = require('node:v8');
const { runInNewContext } = require('node:vm');
const { median, threadCpuNs, threadCpuOverheadNs } = require('./measure.js');

const NS_PER_US = 1000;
let overheadNs;

setFlagsFromString('--expose-gc');
const collect = runInNewContext('gc');

/**
 * Runs this many acquisitions, one after the other, of a side from `loadSide`. Returns the ms of
 * each. Does little else, because that would count too.
 */
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
 * Runs this many acquisitions, and returns the median time in ms and the CPU time of one
 * acquisition in µs, for the main thread and for all threads.
 */
async function acquireBlock(manager, count) {
  // Collects garbage of loading or of another side before the measurement.
  collect({ type: 'minor' });
  // The block begins and ends at the same phase of the event loop.
  await turnOfTheLoop();
  const cpuBefore = process.cpuUsage();
  const mainBefore = threadCpuNs();
  const times = await acquireMany(manager, count);
  // Includes the work that a client defers.
  await turnOfTheLoop();
  const mainNs = threadCpuNs() - mainBefore;
  const { user, system } = process.cpuUsage(cpuBefore);
  // Measured last, because the pause leaves the processor's caches cold.
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
