'use strict';

// Long runs of one task in a separate process, whose memory, files and threads must not grow. The
// test compares resident sizes, which include native memory, right after a garbage collection.
//
// The test fixes the size of V8's young generation, which V8 would otherwise change by several MiB,
// above all on a busy machine. The allocator has its default settings.

const assert = require('node:assert/strict');
const path = require('node:path');
const { describe, it } = require('node:test');
const { run } = require('../programs');
const { startEndpoint, tokenResponse } = require('../support/manager.js');

/** A hanging test must fail. */
const LIMIT_MS = 1_500_000;
/**
 * The allowed growth from the median of a run's second quarter to the median of its last quarter,
 * after the warm-up.
 */
const MOST_GROWTH_MIB = 2;
/**
 * The interval at which the test clears the endpoint's request log, which would grow in this
 * long-running process.
 */
const FORGET_REQUESTS_MS = 500;

/** `LEAKS=full` makes the runs five times as long. */
const SHARE = process.env.LEAKS === 'full' ? 1 : 0.2;
const MANAGERS = 100_000 * SHARE;
const WORKERS = 10_000 * SHARE;

const isLinux = process.platform === 'linux' ? false : 'needs /proc';
const CLIENTS = { 'test-client': 'test-secret', paused: 'test-secret', refused: 'test-secret' };
const PADDING = 'x'.repeat(1200);

/** Runs the program to its end with an endpoint that does not sign its tokens. */
async function measure(t, task, total, leak = '') {
  const endpoint = await startEndpoint(t, { clients: CLIENTS });
  const forget = setInterval(() => endpoint.clearRequests(), FORGET_REQUESTS_MS);
  t.after(() => clearInterval(forget));
  let last = 0;
  endpoint.setAnswer(({ clientId }) => {
    last += 1;
    if (clientId === 'paused') return { fault: 'hang' };
    if (clientId === 'refused') return { status: 401, body: { error: 'unauthorized_client' } };
    return { body: tokenResponse(`token-${last}-${PADDING}`, 300) };
  });

  const file = path.join(__dirname, 'program.js');
  const execArgv = ['--expose-gc', '--max-semi-space-size=1'];
  const args = [endpoint.tokenEndpoint, task, total, leak];
  const program = run(t, file, args, { execArgv, limitMs: LIMIT_MS });
  assert.equal(await program.next(), 'started');
  const first = await program.next();
  const memory = [];
  for (let line = await program.next(); line !== 'done'; line = await program.next()) {
    memory.push(line.rss);
  }
  await endpoint.goOffline();
  program.goOn();
  const size = memory.length / 4;
  const grown = median(memory.slice(-size)) - median(memory.slice(size, 2 * size));
  return { first, last: await program.result(), grown };
}

function median(values) {
  const sorted = values.toSorted((a, b) => a - b);
  const middle = sorted.length / 2;
  return (sorted[Math.ceil(middle) - 1] + sorted[Math.floor(middle)]) / 2;
}

describe('the leak test', { timeout: LIMIT_MS, skip: isLinux }, () => {
  for (const [task, total] of [
    ['managers', MANAGERS],
    ['workers', WORKERS],
  ]) {
    it(`finds no growth in memory, files or threads with ${total} ${task}`, async (t) => {
      const { first, last, grown } = await measure(t, task, total);
      t.diagnostic(`${grown.toFixed(2)} MiB from the second quarter to the last`);
      assert.ok(grown <= MOST_GROWTH_MIB, `${grown} MiB more`);
      for (const what of ['fds', 'threads']) {
        assert.ok(last[what] <= first[what], `${what} at the end: ${last[what]}`);
      }
    });
  }

  it('finds the memory growth from managers that the program closes but keeps', async (t) => {
    const { grown } = await measure(t, 'managers', 10_000, 'managers');
    assert.ok(grown > MOST_GROWTH_MIB, `the test does not notice a growth of ${grown} MiB`);
  });
});
