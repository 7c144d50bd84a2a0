'use strict';

// One to a hundred thousand callers while no token is held. Each herd uses a new manager of ours,
// on kept connections, because `clearCache` is for a token that is known to be wrong.

const { absolute, compare, interleave, median } = require('../measure.js');
const { startEndpoint } = require('../endpoint.js');
const { makeOurs, makePlain } = require('../sides.js');

const SIZES = [1, 10, 100, 1000, 10_000, 100_000];
/** The herd size with a time limit. */
const JUDGED = 10_000;
const SIDES = ['ours', 'plain'];
const WARM_UP = 5;
const ROUNDS = { usual: 101, most: 31, quick: 11 };
const MOST = 100_000;

async function herd(manager, callers) {
  const start = performance.now();
  const tokens = new Array(callers);
  for (let caller = 0; caller < callers; caller += 1) tokens[caller] = manager.getToken();
  await Promise.all(tokens);
  return performance.now() - start;
}

/**
 * Wall time and requests of each side, round by round. `empty` returns a manager without a token.
 */
async function observe(endpoint, empty, callers, rounds) {
  const wall = { ours: [], plain: [] };
  const requests = { ours: [], plain: [] };
  const turns = SIDES.map((name) => async (round) => {
    const before = await endpoint.counts();
    const ms = await herd(await empty[name](), callers);
    const after = await endpoint.counts();
    if (round < WARM_UP) return;
    wall[name].push(ms);
    requests[name].push(after.requests - before.requests);
  });
  await interleave(WARM_UP + rounds, turns);
  return { callers, wall, requests };
}

async function run({ quick }) {
  const roundsFor = (callers) => {
    if (quick) return ROUNDS.quick;
    return callers === MOST ? ROUNDS.most : ROUNDS.usual;
  };
  const endpoint = await startEndpoint();
  const plain = makePlain(endpoint.url);
  let ours;
  const empty = {
    async ours() {
      await ours?.close();
      ours = makeOurs(endpoint.url);
      return ours;
    },
    plain() {
      plain.clearCache();
      return plain;
    },
  };
  const seen = [];
  try {
    for (const callers of SIZES) {
      seen.push(await observe(endpoint, empty, callers, roundsFor(callers)));
    }
  } finally {
    await ours?.close();
    endpoint.stop();
  }
  return {
    rows: rows(seen),
    notes: [
      `${roundsFor(JUDGED)} interleaved rounds over warm http, ${roundsFor(MOST)} for the most ` +
        'callers; requests: the most in any round, of any number of callers, and the least.',
    ],
    curves: [
      {
        id: 'herd-wall',
        title: 'Until all callers on a miss have the token',
        x: { title: 'callers', log: true },
        y: { title: 'ms', log: true },
        lines: SIDES.map((name) => ({
          name,
          points: seen.map(({ callers, wall }) => [callers, median(wall[name])]),
        })),
      },
    ],
  };
}

function rows(seen) {
  const all = (side) => seen.flatMap(({ requests }) => requests[side]);
  const named = (callers) => `${callers.toLocaleString('en')} callers on a miss`;
  const requests = (which, pick) =>
    absolute({
      ...{ figure: `1 to ${named(MOST)}, ${which} requests`, unit: '' },
      ...{ ours: pick(...all('ours')), other: pick(...all('plain')), atLeast: 1, atMost: 1 },
    });
  return [
    requests('most', Math.max),
    requests('least', Math.min),
    ...seen.map(({ callers, wall }) =>
      compare({
        ...{ figure: `${named(callers)}, wall`, unit: 'ms', ours: wall.ours, other: wall.plain },
        ...(callers === JUDGED ? { atMost: 1 } : {}),
      }),
    ),
  ];
}

module.exports = { title: 'Many callers, no token', run };
