'use strict';

// Ten thousand callers at the moment when no token is held.

const { absolute, compare, interleave } = require('../measure.js');
const { startEndpoint } = require('../endpoint.js');
const { makeOurs, makePlain } = require('../sides.js');

const CALLERS = 10_000;
const WARM_UP = 5;

async function herd(manager) {
  manager.clearCache();
  const start = performance.now();
  const tokens = new Array(CALLERS);
  for (let caller = 0; caller < CALLERS; caller += 1) tokens[caller] = manager.getToken();
  await Promise.all(tokens);
  return performance.now() - start;
}

async function run({ quick }) {
  const rounds = quick ? 21 : 101;
  const endpoint = await startEndpoint();
  const managers = { ours: makeOurs(endpoint.url), plain: makePlain(endpoint.url) };
  const wall = { ours: [], plain: [] };
  const requests = { ours: [], plain: [] };
  const turns = Object.entries(managers).map(([name, manager]) => async (round) => {
    const before = await endpoint.counts();
    const ms = await herd(manager);
    const after = await endpoint.counts();
    if (round < WARM_UP) return;
    wall[name].push(ms);
    requests[name].push(after.requests - before.requests);
  });
  try {
    await interleave(WARM_UP + rounds, turns);
  } finally {
    await managers.ours.close();
    endpoint.stop();
  }
  const most = (counts) => Math.max(...counts);
  const least = Math.min(...requests.ours);
  if (least < 1) throw new Error('a round was served without a request');
  return {
    rows: [
      absolute({
        ...{ figure: '10,000 callers on a miss, requests', unit: '' },
        ...{ ours: most(requests.ours), other: most(requests.plain), atMost: 1 },
      }),
      compare({
        ...{ figure: '10,000 callers on a miss, wall', unit: 'ms' },
        ...{ ours: wall.ours, other: wall.plain, atMost: 1 },
      }),
    ],
    notes: [`${rounds} interleaved rounds over warm http; requests: the most in any round.`],
  };
}

module.exports = { title: 'Many callers, no token', run };
