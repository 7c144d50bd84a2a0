'use strict';

// Random numbers that a seed and a name determine: Mulberry32, seeded with a hash of both.

const { createHash } = require('node:crypto');

function random(seed, name) {
  let state = createHash('sha256').update(`${seed}:${name}`).digest().readUInt32LE();
  const next = () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
  /** A random integer between the two bounds. */
  const between = (from, to) => Math.round(from + (to - from) * next());
  const pick = (values) => values[Math.floor(next() * values.length)];
  /** A random key of an object, whose values are integer weights. */
  const weighted = (weights) =>
    pick(Object.entries(weights).flatMap(([key, weight]) => Array(weight).fill(key)));
  return { next, between, pick, weighted };
}

module.exports = { random };
