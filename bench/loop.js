'use strict';

// The loop for cached reads of all sides. It is shared, so that V8 does not inline one side and not
// another.

const { NS_PER_MS } = require('./measure.js');

const PROBE_CALLS = 200;
const LEAST_CALLS = 100;

/** Reads this many times, one after the other; returns nanoseconds per read. */
async function readMany(manager, calls) {
  const start = performance.now();
  for (let call = 0; call < calls; call += 1) await manager.getToken();
  return ((performance.now() - start) * NS_PER_MS) / calls;
}

/** The number of reads that take this time, at most `most`: some sides are 1,000 times slower. */
async function callsFor(manager, milliseconds, most) {
  await readMany(manager, PROBE_CALLS);
  const calls = Math.round((milliseconds * NS_PER_MS) / (await readMany(manager, PROBE_CALLS)));
  return Math.min(Math.max(calls, LEAST_CALLS), most);
}

module.exports = { callsFor, readMany };
