'use strict';

// What many managers in one process cost: time to make them and to have all their tokens, memory
// while they idle, the event loop while all their tokens are replaced at about the same time, and
// threads. Each number of managers of each side is in a process of its own.

const fs = require('node:fs');
const os = require('node:os');
const path = require('node:path');
const { absolute, compare, median, quartiles } = require('../measure.js');
const { startEndpoint } = require('../endpoint.js');
const { runChild } = require('../child.js');

const SIDES = ['ours', 'plain'];
/** These are so light that they run beside each other. */
const FEW = [1, 10, 100];
const MANY = [1000, 10_000];
const COUNTS = [...FEW, ...MANY];
const MOST = 10_000;
const KIB = 1024;
/** A logarithmic axis has no place for nothing. */
const LEAST_MS = 0.01;

/**
 * Tokens live for 12 s: long enough for ten thousand to be there before the first is replaced. Ours
 * replaces them from 5.46 s on, before a caller has to wait; the plain class, with the buffer that
 * suits it best, after 11 s.
 */
const LIFE_SECONDS = 12;
const REPLACED_AFTER = { ours: 5.4, plain: 10.9 };

/** A run that includes the replacement of all tokens. */
async function runWithStorm(side, count) {
  const endpoint = await startEndpoint({ expiresIn: LIFE_SECONDS });
  try {
    return await runChild('managers.js', [side, endpoint.url, count, REPLACED_AFTER[side]]);
  } finally {
    endpoint.stop();
  }
}

async function runIdle(side, count) {
  const endpoint = await startEndpoint();
  try {
    return await runChild('managers.js', [side, endpoint.url, count, 0]);
  } finally {
    endpoint.stop();
  }
}

/** Under look-ups of a name and reads of a file, which have threads of their own. */
async function runThreads(count) {
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'bench-managers-'));
  const endpoint = await startEndpoint();
  try {
    const file = path.join(folder, 'secret');
    fs.writeFileSync(file, 'bench-secret');
    const url = endpoint.url.replace('127.0.0.1', 'localhost');
    return (await runChild('managers.js', ['ours', url, count, 0, file])).threads;
  } finally {
    endpoint.stop();
    fs.rmSync(folder, { recursive: true });
  }
}

/** Bytes of one manager beyond its token, which it has all the same. */
function beyondToken({ heldBytes, tokenBytes }) {
  return heldBytes.native + heldBytes.js - tokenBytes;
}

const perManager = (count, { constructMs, tokensMs }) => ((constructMs + tokensMs) / count) * 1000;

async function run({ quick }) {
  const rounds = quick ? 1 : 5;
  const storms = { ours: {}, plain: {} };
  const perCount = () => Object.fromEntries(COUNTS.map((count) => [count, []]));
  const idle = { ours: perCount(), plain: perCount() };
  const storm = async (side, count) => {
    storms[side][count] = await runWithStorm(side, count);
  };
  // The two sides replace their tokens at different times.
  await Promise.all(SIDES.flatMap((side) => FEW.map((count) => storm(side, count))));
  for (const count of quick ? [MOST] : MANY) {
    await Promise.all(SIDES.map((side) => storm(side, count)));
  }
  for (let round = 0; round < rounds; round += 1) {
    const sides = round % 2 === 0 ? SIDES : SIDES.toReversed();
    for (const count of COUNTS) {
      for (const side of sides) idle[side][count].push(await runIdle(side, count));
    }
  }
  const threads = await runThreads(MOST);
  return {
    rows: rows({ storms, idle, threads }),
    notes: [
      `${rounds} rounds; tokens of ${idle.ours[MOST][0].tokenBytes} bytes, http, one endpoint in a ` +
        'process of its own.',
      'Memory: resident, less what V8 holds ready for objects to come, after garbage collection, ' +
        'less one copy of the token; the growth since before the managers were made.',
      'Replacement: each manager is called 5 times a second; ours spreads it over half a second by ' +
        'chance, the plain class, whose managers share an agent of 64 sockets, does not.',
      'Threads: those of look-ups and of secret files are among them, Node’s are not.',
    ],
    curves: curves({ storms, idle }),
  };
}

function rows({ storms, idle, threads }) {
  const of = (side, count, value) => idle[side][count].map(value);
  const named = MOST.toLocaleString('en');
  const delay = (key, limits) =>
    absolute({
      ...{ figure: `${named} refreshes, event-loop delay, ${key}`, unit: 'ms' },
      ...{ ours: storms.ours[MOST].stormDelayMs[key], other: storms.plain[MOST].stormDelayMs[key] },
      ...limits,
    });
  const memory = (side, count) => of(side, count, (result) => beyondToken(result) / KIB);
  const both = (figure, unit, value) =>
    compare({ figure, unit, ours: of('ours', MOST, value), other: of('plain', MOST, value) });
  const growth = (figure, unit, values) =>
    [100, 1000].map((fewer) => {
      const against = `at ${fewer.toLocaleString('en')}`;
      return compare({
        ...{ figure: `${figure}, at ${named} and ${against}`, unit, against, atMost: 1.2 },
        ...{ ours: values(MOST), other: values(fewer) },
      });
    });
  return [
    absolute({
      ...{ figure: `memory of an idle manager beyond its token, ${named}`, unit: 'KiB' },
      ...{ ours: median(memory('ours', MOST)), other: median(memory('plain', MOST)) },
      ...{ spread: quartiles(memory('ours', MOST)), atMost: 8 },
    }),
    ...growth('memory of an idle manager', 'KiB', (count) => memory('ours', count)),
    ...growth('to make a manager and have its token', 'µs', (count) =>
      of('ours', count, (result) => perManager(count, result)),
    ),
    both(`to make ${named} managers`, 'ms', ({ constructMs }) => constructMs),
    both(`to have tokens for all ${named}`, 'ms', ({ tokensMs }) => tokensMs),
    delay('p99', { atMost: 20 }),
    delay('worst'),
    absolute({
      ...{ figure: `${named} refreshes, until all are there`, unit: 'ms' },
      ...{ ours: storms.ours[MOST].stormMs, other: storms.plain[MOST].stormMs },
    }),
    absolute({
      ...{ figure: `threads under load, ${named} managers`, unit: '' },
      ...{ ours: threads, atLeast: 1, atMost: 19 },
    }),
  ];
}

function curves({ storms, idle }) {
  const x = { title: 'managers in one process', log: true };
  const lines = (results, value) =>
    SIDES.map((name) => ({
      name,
      points: Object.entries(results[name]).map(([count, result]) => [
        Number(count),
        value(result, count),
      ]),
    }));
  const typical = (value) => (results, count) =>
    median(results.map((result) => value(result, count)));
  return [
    {
      ...{ id: 'managers-memory', title: 'Memory of idle managers beyond their tokens', x },
      y: { title: 'MiB in all', log: true },
      lines: lines(
        idle,
        typical((result, count) => Math.max(beyondToken(result) * count, KIB) / KIB / KIB),
      ),
    },
    {
      ...{ id: 'managers-first-tokens', title: 'To make managers and have all their tokens', x },
      y: { title: 'ms', log: true },
      lines: lines(
        idle,
        typical(({ constructMs, tokensMs }) => constructMs + tokensMs),
      ),
    },
    {
      ...{ id: 'managers-refresh-delay', title: 'The event loop while all tokens are replaced', x },
      y: { title: 'delay p99, ms', log: true },
      lines: lines(storms, ({ stormDelayMs }) => Math.max(stormDelayMs.p99, LEAST_MS)),
    },
  ];
}

module.exports = { title: 'Many managers in one process', run };
