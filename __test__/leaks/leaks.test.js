'use strict';

// Long runs of the same thing, in a process of its own, whose memory, files and threads must not
// grow. Memory is what the system says it has in use, native and JavaScript together, right after a
// collection of garbage.
//
// One thing is set for that: how much V8 takes for young objects. By itself it grows and shrinks
// that by several MiB as it sees fit, most of all on a busy machine. The allocator is left as it
// is.

const assert = require('node:assert/strict');
const { spawn } = require('node:child_process');
const { once } = require('node:events');
const path = require('node:path');
const { createInterface } = require('node:readline');
const { describe, it } = require('node:test');
const { startFakeTokenEndpoint } = require('../../lib/testing');
const { tokenResponse } = require('../support/manager.js');

/** What hangs must fail: many times what it takes on an idle machine. */
const LIMIT_MS = 1_500_000;
/** Between the medians of the second and the last quarter of a run, after its warm-up. */
const MOST_GROWTH_MIB = 2;
/** The endpoint logs requests, and this process lasts long. */
const FORGET_REQUESTS_MS = 500;

const EXEC_ARGV = ['--expose-gc', '--max-semi-space-size=1'];

const isLinux = process.platform === 'linux' ? false : 'memory is read in /proc';
const CLIENTS = { 'test-client': 'test-secret', paused: 'test-secret', refused: 'test-secret' };

/** An endpoint that signs nothing: the runs are long enough. */
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

/** Runs the program to its end; gives what it printed. */
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
  assert.deepEqual(await exited, [0, null], 'it ends well, and by itself');
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

/** How much more memory the last quarter takes than the second. */
function growth(samples) {
  const size = samples.length / 4;
  const rss = (quarter) =>
    median(samples.slice((quarter - 1) * size, quarter * size).map((sample) => sample.rss));
  return rss(4) - rss(2);
}

const columns = {
  s: ({ seconds }) => seconds?.toFixed(1),
  done: ({ done }) => done,
  'RSS, MiB': ({ rss }) => rss.toFixed(2),
  heap: ({ heap }) => heap.toFixed(2),
  external: ({ external }) => external.toFixed(2),
  buffers: ({ buffers }) => buffers.toFixed(2),
  files: ({ fds }) => fds,
  threads: ({ threads }) => threads,
};

/** Prints every fourth sample, and the one before and after all. */
function print(title, { first, samples, last }) {
  const shown = [first, ...samples.filter((_, index) => index % 4 === 3), last];
  const line = (cells) => cells.map((cell) => String(cell ?? '').padStart(9)).join('');
  console.log(title);
  console.log(line(Object.keys(columns)));
  for (const sample of shown) {
    console.log(line(Object.values(columns).map((column) => column(sample))));
  }
  console.log(`growth from the second quarter to the last: ${growth(samples).toFixed(2)} MiB`);
}

describe('nothing is left behind by', { timeout: LIMIT_MS, skip: isLinux }, () => {
  for (const [name, task, total, enough] of [
    [
      '100,000 managers with their acquisitions, invalidations, aborts and closes',
      'managers',
      100_000,
      { acquisitions: 200_000, invalidations: 100_000, aborts: 100_000, closes: 100_000 },
    ],
    ['10,000 worker threads, ended in four ways', 'workers', 10_000, { workers: 10_000 }],
  ]) {
    it(name, async (t) => {
      const seen = await run(t, task, total);
      print(name, seen);
      for (const [what, count] of Object.entries(enough)) {
        assert.ok(seen.counts[what] >= count, `${seen.counts[what]} ${what}`);
      }
      const grown = growth(seen.samples);
      assert.ok(grown <= MOST_GROWTH_MIB, `${grown} MiB more`);
      for (const what of ['fds', 'threads']) {
        assert.ok(seen.last[what] <= seen.first[what], `${what} at the end: ${seen.last[what]}`);
      }
    });
  }
});

describe('the bar', { timeout: LIMIT_MS, skip: isLinux }, () => {
  it('is missed by a run whose managers are closed and kept', async (t) => {
    const { samples } = await run(t, 'managers', 10_000, 'managers');
    const grown = growth(samples);
    assert.ok(grown > MOST_GROWTH_MIB, `${grown} MiB more, which it does not notice`);
  });
});
