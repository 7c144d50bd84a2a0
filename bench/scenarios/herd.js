'use strict';

// Measures one to a hundred thousand callers while no token is held. Each herd uses a new manager
// of ours, on kept connections, because `clearCache` is for a token that is known to be wrong.

const { absolute, compareSides, measureSides, pick } = require('../measure.js');
const { withEndpoint } = require('../endpoint.js');
const { makeOurs, makePlain } = require('../sides.js');

const SIZES = [1, 10, 100, 1000, 10_000, 100_000];
/** The size with a bar. */
const JUDGED = 10_000;
const MOST = 100_000;
const SIDES = ['ours', 'plain'];
const WARM_UP = 5;
const ROUNDS = { usual: 101, most: 31, quick: 11 };

async function herdMs(manager, callers) {
  const start = performance.now();
  const tokens = new Array(callers);
  for (let caller = 0; caller < callers; caller += 1) tokens[caller] = manager.getToken();
  await Promise.all(tokens);
  return performance.now() - start;
}

/** Wall time and requests of each side, round by round, for every size. */
function measure(roundsFor) {
  return withEndpoint({}, async ({ url, counts }) => {
    const plain = makePlain(url);
    let ours;
    const empty = {
      async ours() {
        await ours?.close();
        ours = makeOurs(url);
        return ours;
      },
      plain() {
        plain.clearCache();
        return plain;
      },
    };
    const seen = [];
    for (const callers of SIZES) {
      const settings = { rounds: roundsFor(callers), warmUp: WARM_UP };
      const results = await measureSides(SIDES, settings, async (name) => {
        const before = await counts();
        const wall = await herdMs(await empty[name](), callers);
        return { wall, requests: (await counts()).requests - before.requests };
      });
      seen.push({ callers, results });
    }
    await ours.close();
    return seen;
  });
}

async function run({ quick }) {
  const roundsFor = (callers) => {
    if (quick) return ROUNDS.quick;
    return callers === MOST ? ROUNDS.most : ROUNDS.usual;
  };
  const seen = await measure(roundsFor);
  const named = (callers) => `${callers.toLocaleString('en')} callers on a miss`;
  const requests = (which, choose) => {
    const allOf = (side) => seen.flatMap(({ results }) => pick(results, 'requests')[side]);
    const [ours, other] = SIDES.map((side) => choose(...allOf(side)));
    const figure = `1 to ${named(MOST)}, ${which} requests`;
    return absolute({ figure, ours, other, atLeast: 1, atMost: 1 });
  };
  return {
    rows: [
      requests('most', Math.max),
      requests('least', Math.min),
      ...seen.flatMap(({ callers, results }) => {
        const plain = ['plain', callers === JUDGED ? 1 : undefined];
        return compareSides(`${named(callers)}, wall`, 'ms', pick(results, 'wall'), [plain]);
      }),
    ],
    notes: [
      `${roundsFor(JUDGED)} interleaved rounds over warm http, ${roundsFor(MOST)} for the most ` +
        'callers; requests: the most in any round, of any number of callers, and the least.',
    ],
  };
}

module.exports = { title: 'Many callers, no token', run };
