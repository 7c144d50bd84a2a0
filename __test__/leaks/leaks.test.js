'use strict';

// Long runs of one task in a process of its own, whose memory, files and threads must not grow.
// Memory is the resident size right after a collection of garbage, native and JavaScript together.
//
// The size of V8's young generation is fixed: V8 would change it by several MiB, above all on a busy
// machine. The allocator has its defaults.

const assert = require('node:assert/strict');
const { spawn } = require('node:child_process');
const { once } = require('node:events');
const path = require('node:path');
const { createInterface } = require('node:readline');
const { describe, it } = require('node:test');
const { startFakeTokenEndpoint } = require('../../lib/testing');
const { tokenResponse } = require('../support/manager.js');

/** A hanging test must fail. */
const LIMIT_MS = 1_500_000;
/** Between the medians of the second and the last quarter of a run, after its warm-up. */
const MOST_GROWTH_MIB = 2;
/** The endpoint logs requests, and this process lasts long. */
const FORGET_REQUESTS_MS = 500;

/** `LEAKS=full` repeats as often as the promise says. */
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

/** Runs the program to its end; returns what it printed. */
async function run(t, task, total, leak = '') {
  const endpoint = await startEndpoint(t);
  const program = path.join(__dirname, 'program.js');
  const child = spawn(
    process.execPath,
    [...EXEC_ARGV, program, endpoint.tokenEndpoint, task, total, leak].map(String),
    { stdio: ['pipe', 'pipe', 'inherit'] },
  );
  t.after(() => child.kill('SIGKILL'));
  const exited = once(child, 'exit');
  const printed = [];
  for await (const line of createInterface({ input: child.stdout })) {
    printed.push(JSON.parse(line));
    if (printed.at(-1).counts === undefined) continue;
    await endpoint.goOffline();
    child.stdin.end('\n');
  }
  assert.deepEqual(await exited, [0, null], 'it ends by itself');
  const [, first, ...rest] = printed;
  const samples = rest.filter(({ done }) => done !== undefined);
  const { counts } = rest.find((line) => line.counts !== undefined);
  return { first, samples, counts, last: rest.at(-1) };
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
      const { first, samples, counts, last } = await run(t, task, total);
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
    const { samples } = await run(t, 'managers', 10_000, 'managers');
    const grown = growth(samples);
    assert.ok(grown > MOST_GROWTH_MIB, `a growth of ${grown} MiB is not noticed`);
  });
});
