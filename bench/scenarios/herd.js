'use strict';

// Measures ten thousand callers while the manager holds no token. For ours, each herd uses a new
// manager over existing connections, because `clearCache` is for a token that the caller knows to be
// wrong.

const { absolute, compareSides, measureSides, pick } = require('../measure.js');
const { withEndpoint } = require('../endpoint.js');
const { makeOurs, makePlain } = require('../sides.js');

const CALLERS = 10_000;
const WARM_UP = 5;

async function herdMs(manager) {
  const start = performance.now();
  const tokens = new Array(CALLERS);
  for (let caller = 0; caller < CALLERS; caller += 1) tokens[caller] = manager.getToken();
  await Promise.all(tokens);
  return performance.now() - start;
}

/** Returns each side's wall time and requests, round by round. */
function measure(rounds) {
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
    const results = await measureSides(
      ['ours', 'plain'],
      { rounds, warmUp: WARM_UP },
      async (name) => {
        const before = await counts();
        const wall = await herdMs(await empty[name]());
        return { wall, requests: (await counts()).requests - before.requests };
      },
    );
    await ours.close();
    return results;
  });
}

async function run({ quick }) {
  const rounds = quick ? 11 : 101;
  const results = await measure(rounds);
  const named = `${CALLERS.toLocaleString('en')} callers on a miss`;
  const { ours, plain } = pick(results, 'requests');
  const most = { ours: Math.max(...ours), other: Math.max(...plain), atMost: 1 };
  return {
    rows: [
      absolute({ figure: `${named}, most requests`, ...most }),
      ...compareSides(`${named}, wall`, 'ms', pick(results, 'wall'), [['plain', 1]]),
    ],
    notes: [`${rounds} interleaved rounds over warm http.`],
  };
}

module.exports = { title: 'Many callers, no token', run };
