'use strict';

// Measures many managers in one process: the time to make them and to have all their tokens, their
// memory while idle, the event loop while all tokens are replaced at about the same time, and
// threads. Each number of managers of each side has its own process.

const fs = require('node:fs');
const os = require('node:os');
const path = require('node:path');
const { absolute, compare, measureSides, median, quartiles } = require('../measure.js');
const credentials = require('../credentials.js');
const { withEndpoint } = require('../endpoint.js');
const { runChild } = require('../child.js');

const SIDES = ['ours', 'plain'];
/** These are so light that they run at the same time. */
const FEW = [1, 10, 100];
const MANY = [1000, 10_000];
const COUNTS = [...FEW, ...MANY];
const MOST = 10_000;
const NAMED = MOST.toLocaleString('en');
const KIB = 1024;
/** A logarithmic axis cannot show 0. */
const LEAST_MS = 0.01;

/**
 * Tokens live for 12 s: long enough for ten thousand to be there before the first is replaced. Ours
 * replaces them from 5.46 s on, before a caller has to wait; the plain class, with its most
 * favourable buffer, after 11 s.
 */
const LIFE_SECONDS = 12;
const REPLACED_AFTER_SECONDS = { ours: 5.4, plain: 10.9 };

/** A run that includes the replacement of all tokens. */
function runStorm(side, count) {
  const replacedAfterSeconds = REPLACED_AFTER_SECONDS[side];
  return withEndpoint({ expiresIn: LIFE_SECONDS }, ({ url }) =>
    runChild('managers', { side, url, count, replacedAfterSeconds }),
  );
}

function runIdle(side, count) {
  return withEndpoint({}, ({ url }) => runChild('managers', { side, url, count }));
}

/** The threads while names are looked up and a file is read, which have their own threads. */
async function countThreads() {
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'bench-managers-'));
  const secretFile = path.join(folder, 'secret');
  fs.writeFileSync(secretFile, credentials.clientSecret);
  try {
    const { threads } = await withEndpoint({}, ({ url }) => {
      const named = url.replace('127.0.0.1', 'localhost');
      return runChild('managers', { side: 'ours', url: named, count: MOST, secretFile });
    });
    return threads;
  } finally {
    fs.rmSync(folder, { recursive: true });
  }
}

async function runStorms(counts) {
  const storms = { ours: {}, plain: {} };
  const run = async (side, count) => {
    storms[side][count] = await runStorm(side, count);
  };
  // The two sides replace their tokens at different times, so they can run at the same time.
  await Promise.all(SIDES.flatMap((side) => FEW.map((count) => run(side, count))));
  for (const count of counts) await Promise.all(SIDES.map((side) => run(side, count)));
  return storms;
}

/** The bytes of one manager beyond its token, which every side has to keep. */
const beyondToken = ({ heldBytes, tokenBytes }) => heldBytes - tokenBytes;
const totalMs = ({ constructMs, tokensMs }) => constructMs + tokensMs;

async function run({ quick }) {
  const rounds = quick ? 1 : 5;
  const storms = await runStorms(quick ? [MOST] : MANY);
  const idle = { ours: {}, plain: {} };
  for (const count of COUNTS) {
    const results = await measureSides(SIDES, { rounds }, (side) => runIdle(side, count));
    for (const side of SIDES) idle[side][count] = results[side];
  }
  return {
    rows: rows({ storms, idle, threads: await countThreads() }),
    notes: [
      `${rounds} rounds; tokens of ${idle.ours[MOST][0].tokenBytes} bytes, http, one endpoint in ` +
        'its own process.',
      'Memory: resident, less the room that V8 reserves for new objects, after garbage ' +
        'collection, less one copy of the token; the growth since before the managers were made.',
      'Replacement: each manager is called 5 times a second; ours spreads it randomly over half ' +
        'a second, the plain class, whose managers share an agent of 64 sockets, does not.',
      'Threads: includes those of look-ups and of secret files, but not those of Node.',
    ],
    curves: curves({ storms, idle }),
  };
}

function rows({ storms, idle, threads }) {
  const memory = (side, count) => idle[side][count].map((result) => beyondToken(result) / KIB);
  const cost = (count) => idle.ours[count].map((result) => (totalMs(result) / count) * 1000);
  const times = (side, key) => idle[side][MOST].map((result) => result[key]);
  const [ours, plain] = SIDES.map((side) => storms[side][MOST]);
  const growth = (figure, unit, valuesOf) =>
    [100, 1000].map((fewer) => {
      const against = `at ${fewer.toLocaleString('en')}`;
      return compare({
        figure: `${figure}, at ${NAMED} and ${against}`,
        unit,
        ours: valuesOf(MOST),
        other: valuesOf(fewer),
        against,
        atMost: 1.2,
      });
    });
  const both = (figure, key) =>
    compare({ figure, unit: 'ms', ours: times('ours', key), other: times('plain', key) });
  const storm = (figure, pickValue, atMost) =>
    absolute({ figure, unit: 'ms', ours: pickValue(ours), other: pickValue(plain), atMost });
  return [
    absolute({
      figure: `memory of an idle manager beyond its token, ${NAMED}`,
      unit: 'KiB',
      ours: median(memory('ours', MOST)),
      other: median(memory('plain', MOST)),
      spread: quartiles(memory('ours', MOST)),
      atMost: 8,
    }),
    ...growth('memory of an idle manager', 'KiB', (count) => memory('ours', count)),
    ...growth('to make a manager and have its token', 'µs', cost),
    both(`to make ${NAMED} managers`, 'constructMs'),
    both(`to have tokens for all ${NAMED}`, 'tokensMs'),
    storm(`${NAMED} refreshes, event-loop delay, p99`, ({ stormDelayMs }) => stormDelayMs.p99, 20),
    storm(`${NAMED} refreshes, event-loop delay, worst`, ({ stormDelayMs }) => stormDelayMs.worst),
    storm(`${NAMED} refreshes, until all are there`, ({ stormMs }) => stormMs),
    absolute({
      figure: `threads under load, ${NAMED} managers`,
      ours: threads,
      atLeast: 1,
      atMost: 19,
    }),
  ];
}

function curves({ storms, idle }) {
  const curve = (id, title, y, results, pickValue) => ({
    id,
    title,
    x: { title: 'managers in one process', log: true },
    y: { title: y, log: true },
    lines: SIDES.map((name) => ({
      name,
      points: Object.entries(results[name]).map(([count, result]) => [
        Number(count),
        pickValue(result, count),
      ]),
    })),
  });
  const mib = (list, count) =>
    median(list.map((result) => Math.max(beyondToken(result) * count, KIB) / KIB / KIB));
  const ms = (list) => median(list.map(totalMs));
  const delay = ({ stormDelayMs }) => Math.max(stormDelayMs.p99, LEAST_MS);
  return [
    curve(
      'managers-memory',
      'Memory of idle managers beyond their tokens',
      'MiB in all',
      idle,
      mib,
    ),
    curve('managers-first-tokens', 'To make managers and have all their tokens', 'ms', idle, ms),
    curve(
      'managers-refresh-delay',
      'The event loop while all tokens are replaced',
      'delay p99, ms',
      storms,
      delay,
    ),
  ];
}

module.exports = { title: 'Many managers in one process', run };
