'use strict';

// Measures many tokens for one client: the cost of a derived manager, its cached calls, the
// event-loop delay while all derived managers replace their tokens, and calls on behalf of many
// users beside openid-client with a cache.

const { absolute, compare, measureSides, median, pick } = require('../measure.js');
const { runChild } = require('../child.js');
const { withEndpoint } = require('../endpoint.js');

const COUNTS = [10, 100, 1_000, 10_000];
const MOST = COUNTS.at(-1);
const MAKINGS = 9;
/** The number of processes that measure the most managers. */
const RUNS = 3;
const KIB = 1024;
/** The token lifetime in seconds, and the time after which the managers replace it. */
const LIFE_SECONDS = 12;
const REPLACED_AFTER_SECONDS = 5.4;
const READS = 50_000;
const RIVAL = 'openid-client';
const SIDES = ['ours', RIVAL];
/** Users of a portal, whose API tokens live for 8 s and whose server takes 10 ms to answer. */
const PORTAL = { users: 500, pagesPerSecond: 100, seconds: 20 };
const PORTAL_ENDPOINT = { expiresIn: 8, delayMs: 10 };

const named = (count) => count.toLocaleString('en');

const runDerived = (options, settings = {}) =>
  withEndpoint(settings, ({ url }) => runChild('managers', { side: 'derived', url, ...options }));

/** Returns the rows, and the points of the plot. */
async function costs() {
  const rows = [];
  const memory = [];
  for (const count of COUNTS) {
    const isMost = count === MOST;
    const results = [];
    while (results.length < (isMost ? RUNS : 1)) {
      results.push(await runDerived({ count, makings: MAKINGS }));
    }
    const [constructMs, heldBytes, tokenBytes] = ['constructMs', 'heldBytes', 'tokenBytes'].map(
      (key) => median(results.map((result) => result[key])),
    );
    memory.push({ managers: count, kib: heldBytes / KIB, barKib: (2 * tokenBytes) / KIB + 1.5 });
    rows.push(
      absolute({
        figure: `memory of a derived manager with its token, ${named(count)}`,
        unit: 'KiB',
        ours: heldBytes / KIB,
        ...(isMost && { atMost: memory.at(-1).barKib }),
      }),
      absolute({
        figure: `to make derived managers, ${named(count)}`,
        unit: 'ms',
        ours: constructMs,
        ...(isMost && { atMost: 75 }),
      }),
    );
  }
  return { rows, memory };
}

async function callRow(rounds) {
  const { ours, floor } = await withEndpoint({}, ({ url }) =>
    runChild('derived-calls', { url, rounds, calls: READS }),
  );
  const figure = 'cached call, 1,000 derived managers in turn';
  return compare({ figure, unit: 'ns', ours, other: floor, against: 'floor', atMost: 1.25 });
}

async function stormRow() {
  const options = { count: MOST, replacedAfterSeconds: REPLACED_AFTER_SECONDS };
  const { stormDelayMs } = await runDerived(options, { expiresIn: LIFE_SECONDS });
  const figure = `${named(MOST)} refreshes of derived managers, event-loop delay, p99`;
  return absolute({ figure, unit: 'ms', ours: stormDelayMs, atMost: 20 });
}

/** Compares calls on behalf of users with those of openid-client and a cache. */
async function userRows(rounds) {
  const results = await measureSides(SIDES, { rounds }, (side) =>
    withEndpoint(PORTAL_ENDPOINT, async ({ url, counts }) => {
      const result = await runChild('exchange', { side, url, ...PORTAL });
      return { ...result, requests: (await counts()).requests };
    }),
  );
  const row = (figure, unit, key, bar) => {
    const { ours, [RIVAL]: other } = pick(results, key);
    return compare({ figure, unit, ours, other, against: RIVAL, ...bar });
  };
  return {
    rows: [
      row('calls for users, p99', 'ms', 'p99', { atMost: 1 }),
      row('calls for users, CPU of the main thread per call', 'µs', 'cpuUs', { atMost: 1 }),
      row('calls for users, token requests', '', 'requests'),
    ],
    calls: median(results.ours.map(({ calls }) => calls)),
  };
}

async function run({ quick }) {
  const { rows, memory } = await costs();
  const calls = await callRow(quick ? 7 : 21);
  const storm = await stormRow();
  const users = await userRows(quick ? 1 : 3);
  return {
    rows: [...rows, calls, storm, ...users.rows],
    memory,
    notes: [
      'Memory: resident memory as in the scenario "managers", with the token. Making: the median of ' +
        `${MAKINGS} times, in one process. ${named(MOST)} managers: the median of ${RUNS} processes.`,
      `Users: ${PORTAL.users} users with two APIs each, ${PORTAL.pagesPerSecond} pages of four ` +
        `calls each second for ${PORTAL.seconds} s (${named(users.calls)} calls), tokens of ` +
        `${PORTAL_ENDPOINT.expiresIn} s, a server that takes ${PORTAL_ENDPOINT.delayMs} ms. ` +
        'openid-client has a map of at most 10,000 entries whose callers share a request, and replaces ' +
        'a token 1 s before its end. Ours replaces it earlier, while callers get the held one.',
    ],
  };
}

module.exports = { title: 'Many tokens of one client', run };
