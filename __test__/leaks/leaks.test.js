'use strict';

// Long runs of one task in a separate process, whose memory, files and threads must not grow.
// Memory is the resident size right after a collection of garbage, native and JavaScript together.
//
// The size of V8's young generation is fixed: V8 would change it by several MiB, above all on a busy
// machine. The allocator has its defaults.

const assert = require('node:assert/strict');
const path = require('node:path');
const { describe, it } = require('node:test');
const { startFakeTokenEndpoint } = require('../../lib/testing');
const { run } = require('../programs');
const { tokenResponse } = require('../support/manager.js');

/** A hanging test must fail. */
const LIMIT_MS = 1_500_000;
/** Between the medians of the second and the last quarter of a run, after its warm-up. */
const MOST_GROWTH_MIB = 2;
/** The endpoint logs requests, and this process lasts long. */
const FORGET_REQUESTS_MS = 500;

/** `LEAKS=full` makes the runs five times as long. */
const SHARE = process.env.LEAKS === 'full' ? 1 : 0.2;
const MANAGERS = 100_000 * SHARE;
const WORKERS = 10_000 * SHARE;
const EXEC_ARGV = ['--expose-gc', '--max-semi-space-size=1'];

const isLinux = process.platform === 'linux' ? false : 'memory is read in /proc';
const CLIENTS = { 'test-client': 'test-secret', paused: 'test-secret', refused: 'test-secret' };

/** An endpoint whose answers need no signature. */
async function startEndpoint(t) {
  const endpoint = await startFakeTokenEndpoint({ clients: CLIENTS });
  const forget = setInterval(() => endpoint.clearRequests(), FORGET_REQUESTS_MS);
  t.after(async () => {
    clearInterval(forget);
    await endpoint.close();
  });
  const padding = 'x'.repeat(1200);
  let last = 0;
  const next = () => {
    last += 1;
    return last;
  };
  const answers = {
    'test-client': () => ({ body: tokenResponse(`token-${next()}-${padding}`, 300) }),
    paused: () => ({ fault: 'hang' }),
    refused: () => ({ status: 401, body: { error: 'unauthorized_client' } }),
  };
  endpoint.setAnswer(({ clientId }) => answers[clientId]());
  return endpoint;
}

/** Runs the program to its end; returns its samples. */
async function measure(t, task, total, leak = '') {
  const endpoint = await startEndpoint(t);
  const program = run(
    t,
    path.join(__dirname, 'program.js'),
    [endpoint.tokenEndpoint, task, total, leak],
    { execArgv: EXEC_ARGV, limitMs: LIMIT_MS },
  );
  assert.equal(await program.next(), 'started');
  const samples = [];
  let line = await program.next();
  const first = line;
  while (line.counts === undefined) {
    if (line.done !== undefined) samples.push(line);
    line = await program.next();
  }
  await endpoint.goOffline();
  program.goOn();
  return { first, samples, counts: line.counts, last: await program.result() };
}

function median(values) {
  const sorted = values.toSorted((a, b) => a - b);
  const middle = sorted.length / 2;
  return (sorted[Math.ceil(middle) - 1] + sorted[Math.floor(middle)]) / 2;
}

/** The growth of memory from the second quarter to the last. */
function growth(samples) {
  const size = samples.length / 4;
  const rss = (quarter) =>
    median(samples.slice((quarter - 1) * size, quarter * size).map((sample) => sample.rss));
  return rss(4) - rss(2);
}

describe('memory, files and threads do not grow with', { timeout: LIMIT_MS, skip: isLinux }, () => {
  for (const [task, total, enough] of [
    [
      'managers',
      MANAGERS,
      { acquisitions: 2 * MANAGERS, invalidations: MANAGERS, aborts: MANAGERS, closes: MANAGERS },
    ],
    ['workers', WORKERS, { workers: WORKERS }],
  ]) {
    it(`${total} ${task}`, async (t) => {
      const { first, samples, counts, last } = await measure(t, task, total);
      for (const [what, count] of Object.entries(enough)) {
        assert.ok(counts[what] >= count, `${counts[what]} ${what}`);
      }
      const grown = growth(samples);
      t.diagnostic(`${grown.toFixed(2)} MiB from the second quarter to the last`);
      assert.ok(grown <= MOST_GROWTH_MIB, `${grown} MiB more`);
      for (const what of ['fds', 'threads']) {
        assert.ok(last[what] <= first[what], `${what} at the end: ${last[what]}`);
      }
    });
  }

  it('but memory does with managers that are closed and kept', async (t) => {
    const { samples } = await measure(t, 'managers', 10_000, 'managers');
    const grown = growth(samples);
    assert.ok(grown > MOST_GROWTH_MIB, `a growth of ${grown} MiB is not noticed`);
  });
});
