'use strict';

// The one loop that all sides of a cached read run through, so that none is inlined where another
// is not.

const { NS_PER_MS } = require('./measure.js');

const PROBE_CALLS = 200;
const LEAST_CALLS = 100;

/** Reads that many times, one after the other; gives nanoseconds for one. */
async function readMany(manager, calls) {
  const start = performance.now();
  for (let call = 0; call < calls; call += 1) await manager.getToken();
  return ((performance.now() - start) * NS_PER_MS) / calls;
}

/** How many reads take about that long, at most `most`: some sides are a thousand times slower. */
async function callsFor(manager, milliseconds, most) {
  await readMany(manager, PROBE_CALLS);
  const calls = Math.round((milliseconds * NS_PER_MS) / (await readMany(manager, PROBE_CALLS)));
  return Math.min(Math.max(calls, LEAST_CALLS), most);
}

module.exports = { callsFor, readMany };
