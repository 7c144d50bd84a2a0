'use strict';

// The overhead of `manager.fetch` over the platform's fetch with a static header.

const { compare, interleave } = require('../measure.js');
const { startEndpoint } = require('../endpoint.js');
const { makeOurs } = require('../sides.js');

// Short, so that both sides of a round meet with the same machine.
const BLOCK = 20;
const WARM_UP = 25;
const USER = 'user:default/jane';

async function block(call) {
  const start = performance.now();
  for (let i = 0; i < BLOCK; i += 1) await (await call()).arrayBuffer();
  return ((performance.now() - start) * 1000) / BLOCK;
}

async function measure(sides, rounds) {
  const perCall = { ours: [], plain: [] };
  const turns = Object.entries(sides).map(([name, call]) => async (round) => {
    const took = await block(call);
    if (round >= WARM_UP) perCall[name].push(took);
  });
  await interleave(WARM_UP + rounds, turns);
  return { ours: perCall.ours, other: perCall.plain };
}

async function run({ quick }) {
  const rounds = quick ? 250 : 600;
  const tokens = await startEndpoint();
  // The answer represents a typical API: 1.6 KB of JSON.
  const api = await startEndpoint();
  const manager = makeOurs(tokens.url, { resource: { baseUrl: api.url } });
  try {
    const token = await manager.getToken();
    const Authorization = `Bearer ${token}`;
    const bare = await measure(
      {
        ours: () => manager.fetch('/'),
        plain: () => fetch(api.url, { headers: { Authorization } }),
      },
      rounds,
    );
    const body = JSON.stringify({ name: 'an agent' });
    const post = { method: 'POST', body };
    const headers = { 'Content-Type': 'application/json' };
    const posted = await measure(
      {
        ours: () => manager.fetch('/', { ...post, headers, backstageUser: USER }),
        plain: () =>
          fetch(api.url, {
            ...post,
            headers: { ...headers, Authorization, 'X-Backstage-User': USER },
          }),
      },
      rounds,
    );
    if ((await manager.getToken()) !== token) throw new Error('the token was replaced meanwhile');
    const row = { unit: 'µs', against: 'fetch', atMost: 1.1 };
    return {
      rows: [
        compare({ figure: 'GET', ...row, ...bare }),
        compare({ figure: 'POST of JSON for a user', ...row, ...posted }),
      ],
      notes: [`${rounds} interleaved rounds of ${BLOCK} calls, one after the other, over http.`],
    };
  } finally {
    await manager.close();
    tokens.stop();
    api.stop();
  }
}

module.exports = { title: 'manager.fetch beside fetch with a static header, loopback', run };
