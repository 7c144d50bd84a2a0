'use strict';

// Measures acquisitions, block by block, interleaved for the named sides: the time until the token
// arrives, and the CPU time of the main thread and of the whole process. With `isAnew` each
// acquisition is by a new manager.

const { setImmediate: turnOfTheLoop } = require('node:timers/promises');
const { measureSides, median, threadCpuNs, threadCpuOverheadNs } = require('../measure.js');
const { loadSide } = require('../sides.js');

const NS_PER_US = 1000;
let overheadNs;

/**
 * Runs acquisitions of a manager, one after the other. Returns the ms of each. Does little else,
 * because that would count too.
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
 * Runs acquisitions and returns their median time in ms and the CPU time of one acquisition in µs,
 * for the main thread and for all threads.
 */
async function acquireBlock(manager, count) {
  // Collects garbage of loading or of another side before the measurement.
  gc({ type: 'minor' });
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

/** A manager that is replaced before every acquisition. */
function anew(make, url) {
  let last;
  return {
    acquire() {
      last?.close?.();
      last = make(url);
      return last.getToken();
    },
  };
}

module.exports = async ({ url, names, warmUp, blocks, count, isAnew }) => {
  const managers = {};
  for (const name of names) {
    const make = await loadSide(name);
    managers[name] = isAnew ? anew(make, url) : make(url);
    await acquireMany(managers[name], warmUp);
  }
  return measureSides(names, { rounds: blocks }, (name) => acquireBlock(managers[name], count));
};
