'use strict';

// Measures many managers in one process: the time to make them and to get all their tokens, their
// memory while idle, the event-loop delay while they replace all tokens at about the same time, and
// their threads. Each side has its own process for each number of managers.

const fs = require('node:fs');
const os = require('node:os');
const path = require('node:path');
const measure = require('../measure.js');
const credentials = require('../credentials.js');
const { withEndpoint } = require('../endpoint.js');
const { runChild } = require('../child.js');

const { absolute, absoluteMedian, compare, measureSides, pick } = measure;

const SIDES = ['ours', 'plain'];
const MOST = 10_000;
const FEW = 100;
const KIB = 1024;

/**
 * The token lifetime in seconds, so long that ten thousand tokens arrive before a manager replaces
 * its first. Ours replaces tokens from 5.46 s on, before a caller has to wait; the plain class,
 * with its most favourable buffer, replaces them after 11 s.
 */
const LIFE_SECONDS = 12;
const REPLACED_AFTER_SECONDS = { ours: 5.4, plain: 10.9 };

const named = (count) => count.toLocaleString('en');

/** Runs each side, including the replacement of all tokens. */
function runStorm() {
  // The two sides replace their tokens at different times, so they can run at the same time.
  const results = SIDES.map((side) =>
    withEndpoint({ expiresIn: LIFE_SECONDS }, ({ url }) => {
      const replacedAfterSeconds = REPLACED_AFTER_SECONDS[side];
      return runChild('managers', { side, url, count: MOST, replacedAfterSeconds });
    }),
  );
  return Promise.all(results);
}

/** Returns each side's figures, round by round. */
async function runIdle(count, rounds) {
  const results = await measureSides(SIDES, { rounds }, (side) =>
    withEndpoint({}, ({ url }) => runChild('managers', { side, url, count })),
  );
  // The bytes of one manager beyond its token, which every side has to keep.
  const memory = pick(results, ({ heldBytes, tokenBytes }) => (heldBytes - tokenBytes) / KIB);
  const us = ({ constructMs, tokensMs }) => ((constructMs + tokensMs) / count) * 1000;
  return { memory, us: pick(results, us) };
}

/**
 * Returns the number of threads while look-ups and reads of files, which have their own threads,
 * are in progress.
 */
async function countThreads() {
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'bench-managers-'));
  const secretFile = path.join(folder, 'secret');
  fs.writeFileSync(secretFile, credentials.clientSecret);
  try {
    const { threads } = await withEndpoint({}, ({ url }) => {
      const localUrl = url.replace('127.0.0.1', 'localhost');
      return runChild('managers', { side: 'ours', url: localUrl, count: MOST, secretFile });
    });
    return threads;
  } finally {
    fs.rmSync(folder, { recursive: true });
  }
}

function idleRows(most, few) {
  const against = `at ${named(FEW)}`;
  const growth = (figure, unit, key) =>
    compare({
      figure: `${figure}, at ${named(MOST)} and ${against}`,
      unit,
      ours: most[key].ours,
      other: few[key].ours,
      against,
      atMost: 1.2,
    });
  const figure = `memory of an idle manager beyond its token, ${named(MOST)}`;
  return [
    absoluteMedian(most.memory, { figure, unit: 'KiB', atMost: 8 }),
    growth('memory of an idle manager', 'KiB', 'memory'),
    growth('to make a manager and get its token', 'µs', 'us'),
  ];
}

async function run({ quick }) {
  const rounds = quick ? 1 : 5;
  const [ours, plain] = await runStorm();
  const few = await runIdle(FEW, rounds);
  const most = await runIdle(MOST, rounds);
  return {
    rows: [
      ...idleRows(most, few),
      absolute({
        figure: `${named(MOST)} refreshes, event-loop delay, p99`,
        unit: 'ms',
        ours: ours.stormDelayMs,
        other: plain.stormDelayMs,
        atMost: 20,
      }),
      absolute({
        figure: `threads under load, ${named(MOST)} managers`,
        ours: await countThreads(),
        atMost: 18,
      }),
    ],
    notes: [
      `${rounds} rounds; tokens of ${ours.tokenBytes} bytes, http, one endpoint in its own ` +
        'process.',
      'Memory: the growth of resident memory from before the first manager, after garbage ' +
        'collection, without the room that V8 reserves for new objects and one copy of the token.',
      'Refreshes: callers call each manager 5 times a second. Ours spreads refreshes over half a ' +
        'second; the plain class, whose managers share an agent of 64 sockets, does not.',
      'Threads: with the threads of look-ups and secret files, without the threads of Node.',
    ],
  };
}

module.exports = { title: 'Many managers in one process', run };
