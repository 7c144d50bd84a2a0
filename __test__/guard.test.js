'use strict';

// Guards against rising costs on the JavaScript side, in numbers that hardly depend on the machine:
// ratios, native calls and bytes. `tests/guard.rs` guards the core.

const assert = require('node:assert/strict');
const { describe, it } = require('node:test');
const { start, times } = require('./support/manager.js');
const { nativeCalls } = require('./support/native-calls.js');

/** A hanging test must fail. */
const LIMIT_MS = 60_000;
/** The limit of `npm run bench`, and the factor by which a figure may exceed this limit. */
const MOST_OF_FLOOR = 1.1;
const TOLERANCE = 1.2;
const WARM_UP_ROUNDS = 3;
const ROUNDS = 31 + WARM_UP_ROUNDS;
const CALLS = 20_000;
/** Less than the smallest object per call, but more than Node allocates in the background. */
const MOST_BYTES_PER_CALL = 2;

/** Measures the duration of consecutive calls, in a loop that the manager and the floor share. */
async function readMany(manager) {
  const start = performance.now();
  for (let call = 0; call < CALLS; call += 1) await manager.getToken();
  return performance.now() - start;
}

const median = (values) => values.toSorted((a, b) => a - b)[values.length >> 1];

describe('the guard', { timeout: LIMIT_MS }, () => {
  it('limits the time of a cached call to that of a resolved promise', async (t) => {
    const { manager } = await start(t);
    const resolved = Promise.resolve(await manager.getToken());
    const floor = { getToken: () => resolved };
    const ratios = [];
    for (let round = 0; round < ROUNDS; round += 1) {
      // The manager and the floor take turns at running first.
      const isEven = round % 2 === 0;
      const first = await readMany(isEven ? manager : floor);
      const second = await readMany(isEven ? floor : manager);
      ratios.push(isEven ? first / second : second / first);
    }
    const ratio = median(ratios.slice(WARM_UP_ROUNDS));
    t.diagnostic(`${ratio.toFixed(2)} × a resolved promise`);
    assert.ok(ratio <= MOST_OF_FLOOR * TOLERANCE, `${ratio} × a resolved promise`);
  });

  it('limits the memory of a cached call to less than an object', async (t) => {
    const { manager } = await start(t);
    await manager.getToken();
    const call = () => {
      for (let count = 0; count < CALLS; count += 1) manager.getToken();
    };
    call();
    const each = times(5, () => {
      global.gc();
      const before = process.memoryUsage().heapUsed;
      call();
      return (process.memoryUsage().heapUsed - before) / CALLS;
    });
    assert.ok(Math.min(...each) <= MOST_BYTES_PER_CALL, `${each} bytes a call`);
  });

  it('limits an acquisition to its native calls and one wake-up', async (t) => {
    const { manager } = await start(t);
    await manager.getToken();
    const calls = nativeCalls(t);
    await manager.getToken({ forceRefresh: true });
    assert.deepEqual(calls, ['ask', 'hold', 'drain', 'hold']);
  });
});
