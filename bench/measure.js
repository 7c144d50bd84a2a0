'use strict';

// Statistics, clocks and counts for the scenarios, which compare two sides by the median of the
// ratios of all rounds: a disturbance affects both sides of a round equally, but would change a
// ratio of two medians.

const fs = require('node:fs');

const NS_PER_MS = 1e6;
const sleeper = new Int32Array(new SharedArrayBuffer(4));

/** Returns the value below which the given share of the values lies. */
function quantile(values, share) {
  const sorted = Float64Array.from(values).sort();
  const position = (sorted.length - 1) * share;
  const below = Math.floor(position);
  const above = Math.ceil(position);
  return sorted[below] + (sorted[above] - sorted[below]) * (position - below);
}

const median = (values) => quantile(values, 0.5);

/**
 * Returns a row that compares the rounds of two sides: the medians, and the median and quartiles of
 * the ratios.
 */
function compare({ figure, unit, ours, other, against = 'plain', atMost }) {
  const ratios = ours.map((value, round) => value / other[round]);
  return {
    figure,
    unit,
    ours: median(ours),
    other: median(other),
    against,
    ratio: median(ratios),
    spread: [quantile(ratios, 0.25), quantile(ratios, 0.75)],
    rounds: ratios.length,
    ...(atMost !== undefined && { bar: { of: 'ratio', atMost } }),
  };
}

/**
 * Returns rows that compare our rounds with the rounds of other sides. `[side, atMost]` names a
 * side and its bar; a side without results has no row.
 */
function compareSides(figure, unit, results, sides) {
  return sides
    .filter(([against]) => results[against] !== undefined)
    .map(([against, atMost]) =>
      compare({ figure, unit, ours: results.ours, other: results[against], against, atMost }),
    );
}

/** Returns a row with one value of ours, next to the value of another side if there is one. */
function absolute({ figure, unit = '', ours, other, against = 'plain', atMost }) {
  return {
    figure,
    unit,
    ours,
    ...(other !== undefined && { other, against }),
    ...(atMost !== undefined && { bar: { of: 'ours', atMost } }),
  };
}

/** Returns a row with the median of our rounds, next to the plain class's median. */
function absoluteMedian({ ours, plain }, row) {
  return absolute({ ...row, ours: median(ours), other: median(plain) });
}

/**
 * Returns the rival whose values, round by round, are nearest to our values, or undefined for an
 * empty list of rivals.
 */
function bestRival(rivals, values) {
  const ratioTo = (name) => median(values.ours.map((value, round) => value / values[name][round]));
  return rivals.toSorted((one, other) => ratioTo(other) - ratioTo(one))[0];
}

/**
 * Returns the CPU time of the calling thread in nanoseconds. Before Node 23.9, the function works
 * only on Linux. The kernel updates the figure when it switches to another thread, so the calling
 * thread sleeps first.
 */
function threadCpuNs() {
  Atomics.wait(sleeper, 0, 0, 1);
  if (process.threadCpuUsage !== undefined) {
    const { user, system } = process.threadCpuUsage();
    return (user + system) * 1000;
  }
  return Number(fs.readFileSync('/proc/thread-self/schedstat', 'latin1').split(' ', 1)[0]);
}

/** Returns this process's number of sockets. */
function socketCount() {
  const isSocket = (descriptor) => {
    try {
      return fs.readlinkSync(`/proc/self/fd/${descriptor}`).startsWith('socket:');
    } catch {
      // The descriptor of the listing itself no longer exists.
      return false;
    }
  };
  return fs.readdirSync('/proc/self/fd').filter(isSocket).length;
}

/**
 * Measures the named sides in every round, in an order that changes from round to round. Returns
 * each side's values, without the `warmUp` rounds.
 */
async function measureSides(names, { rounds, warmUp = 0 }, measure) {
  const values = Object.fromEntries(names.map((name) => [name, []]));
  for (let round = 0; round < warmUp + rounds; round += 1) {
    for (let turn = 0; turn < names.length; turn += 1) {
      const name = names[(round + turn) % names.length];
      const value = await measure(name);
      if (round >= warmUp) values[name].push(value);
    }
  }
  return values;
}

/** Returns the values of one key, or the results of one function, for each side. */
function pick(results, key) {
  const read = typeof key === 'function' ? key : (result) => result[key];
  const entries = Object.entries(results).map(([name, list]) => [name, list.map(read)]);
  return Object.fromEntries(entries);
}

module.exports = {
  NS_PER_MS,
  absolute,
  absoluteMedian,
  bestRival,
  compare,
  compareSides,
  measureSides,
  median,
  pick,
  quantile,
  socketCount,
  threadCpuNs,
};
