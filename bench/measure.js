'use strict';

// Statistics and clocks of the scenarios. Two sides are compared by the median of the ratios of
// each round: a disturbance affects both sides of a round, while it would change a ratio of two
// medians.

const fs = require('node:fs');

const NS_PER_MS = 1e6;
const OVERHEAD_SAMPLES = 51;
const sleeper = new Int32Array(new SharedArrayBuffer(4));

/** The value below which the given share of the values lies. */
function quantile(values, share) {
  const sorted = Float64Array.from(values).sort();
  const position = (sorted.length - 1) * share;
  const below = Math.floor(position);
  const above = Math.ceil(position);
  return sorted[below] + (sorted[above] - sorted[below]) * (position - below);
}

function median(values) {
  return quantile(values, 0.5);
}

/** A row that compares the rounds of two sides: medians, median of the ratios, their quartiles. */
function compare({ figure, unit, ours, other, against = 'plain', atMost }) {
  const ratios = ours.map((value, round) => value / other[round]);
  return {
    figure,
    unit,
    ours: median(ours),
    other: median(other),
    against,
    ratio: median(ratios),
    spread: quartiles(ratios),
    rounds: ratios.length,
    ...(atMost !== undefined && { bar: { of: 'ratio', atMost } }),
  };
}

/** A row about one value of ours, next to that of another side if there is one. */
function absolute({ figure, unit = '', ours, other, against = 'plain', spread, atLeast, atMost }) {
  return {
    figure,
    unit,
    ours,
    ...(other !== undefined && { other, against }),
    ...(spread !== undefined && { spread, spreadIsOfOurs: true }),
    ...((atMost ?? atLeast) !== undefined && { bar: { of: 'ours', atLeast, atMost } }),
  };
}

/**
 * The rival whose values, one for each round, are nearest to those of ours; undefined if there is
 * no rival.
 */
function bestRival(rivals, values) {
  const ratioTo = (name) => median(values.ours.map((value, round) => value / values[name][round]));
  return rivals.toSorted((one, other) => ratioTo(other) - ratioTo(one))[0];
}

/** The two quartiles of the values. */
function quartiles(values) {
  return [quantile(values, 0.25), quantile(values, 0.75)];
}

/**
 * The CPU time of the calling thread in nanoseconds; before Node 23.9 on Linux only. The kernel
 * updates the figure when it switches from the thread to another, so the thread sleeps first.
 */
function threadCpuNs() {
  Atomics.wait(sleeper, 0, 0, 1);
  if (process.threadCpuUsage !== undefined) {
    const { user, system } = process.threadCpuUsage();
    return (user + system) * 1000;
  }
  return Number(fs.readFileSync('/proc/thread-self/schedstat', 'latin1').split(' ', 1)[0]);
}

/** The cost of reading that clock, which is subtracted from a difference of two readings. */
function threadCpuOverheadNs() {
  return median(
    Array.from({ length: OVERHEAD_SAMPLES }, () => {
      const before = threadCpuNs();
      return threadCpuNs() - before;
    }),
  );
}

/** Runs `sides` in turn, each round in another order. */
async function interleave(rounds, sides) {
  for (let round = 0; round < rounds; round += 1) {
    for (let turn = 0; turn < sides.length; turn += 1) {
      await sides[(round + turn) % sides.length](round);
    }
  }
}

/**
 * Measures the named sides in every round, each round in another order. Returns the values of each
 * side; the rounds of `warmUp` do not count.
 */
async function measureSides(names, { rounds, warmUp = 0 }, measure) {
  const values = Object.fromEntries(names.map((name) => [name, []]));
  const turns = names.map((name) => async (round) => {
    const value = await measure(name);
    if (round >= warmUp) values[name].push(value);
  });
  await interleave(warmUp + rounds, turns);
  return values;
}

/** The values of one key, from the results of each side. */
function pick(results, key) {
  const entries = Object.entries(results);
  return Object.fromEntries(entries.map(([name, list]) => [name, list.map((one) => one[key])]));
}

module.exports = {
  NS_PER_MS,
  absolute,
  bestRival,
  compare,
  interleave,
  measureSides,
  pick,
  median,
  quantile,
  quartiles,
  threadCpuNs,
  threadCpuOverheadNs,
};
