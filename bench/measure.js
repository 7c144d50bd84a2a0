'use strict';

// Statistics and clocks of the scenarios. Two sides are compared by the median of per-round ratios:
// what disturbs a round disturbs both of its sides, while a ratio of two medians keeps it.

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

/**
 * A row that compares paired rounds: both medians, the median of the ratios, and their quartiles.
 * `scale` turns what was measured into `unit`.
 */
function compare({ figure, unit, ours, other, against = 'plain', scale = 1, atMost }) {
  const ratios = ours.map((value, round) => value / other[round]);
  return {
    figure,
    unit,
    ours: median(ours) * scale,
    other: median(other) * scale,
    against,
    ratio: median(ratios),
    spread: [quantile(ratios, 0.25), quantile(ratios, 0.75)],
    rounds: ratios.length,
    ...(atMost === undefined ? {} : { bar: { of: 'ratio', atMost } }),
  };
}

/** A row about one side alone, with the other beside it where there is one. */
function absolute({ figure, unit, ours, other, against = 'plain', spread, atLeast, atMost }) {
  return {
    figure,
    unit,
    ours,
    ...(other === undefined ? {} : { other, against }),
    ...(spread === undefined ? {} : { spread, spreadIsOfOurs: true }),
    ...(atMost === undefined && atLeast === undefined
      ? {}
      : { bar: { of: 'ours', atLeast, atMost } }),
  };
}

/** The two quartiles of the values. */
function quartiles(values) {
  return [quantile(values, 0.25), quantile(values, 0.75)];
}

/**
 * CPU time of the calling thread in nanoseconds; before Node 23.9 on Linux only. The kernel brings
 * the figure up to date when a thread is switched out, so the thread sleeps a moment first.
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

/** Runs `sides` one after the other, each round in another order. */
async function interleave(rounds, sides) {
  for (let round = 0; round < rounds; round += 1) {
    for (let turn = 0; turn < sides.length; turn += 1) {
      await sides[(round + turn) % sides.length](round);
    }
  }
}

module.exports = {
  NS_PER_MS,
  absolute,
  compare,
  interleave,
  median,
  quantile,
  quartiles,
  threadCpuNs,
  threadCpuOverheadNs,
};
