'use strict';

// Measures acquisitions of the named sides in interleaved blocks: the time until the token arrives,
// and the main thread's CPU time.

const { setImmediate: turnOfTheLoop } = require('node:timers/promises');
const { measureSides, median, threadCpuNs } = require('../measure.js');
const { loadSide } = require('../sides.js');

const NS_PER_US = 1000;

/**
 * Runs acquisitions of a manager, one after the other, and returns the time of each in ms. The
 * function does little else, because the measurement would include that work.
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

/** Runs acquisitions; returns their median time in ms, and the CPU time of each in µs. */
async function acquireBlock(manager, count) {
  // Collects the garbage of loading and of other sides before the measurement.
  gc({ type: 'minor' });
  // The block begins and ends at the same phase of the event loop.
  await turnOfTheLoop();
  const mainBefore = threadCpuNs();
  const times = await acquireMany(manager, count);
  // The CPU time includes the work that a client defers.
  await turnOfTheLoop();
  const mainNs = threadCpuNs() - mainBefore;
  return { wall: median(times), main: mainNs / NS_PER_US / count };
}

module.exports = async ({ url, names, warmUp, blocks, count }) => {
  const managers = {};
  for (const name of names) {
    managers[name] = (await loadSide(name))(url);
    await acquireMany(managers[name], warmUp);
  }
  return measureSides(names, { rounds: blocks }, (name) => acquireBlock(managers[name], count));
};
