'use strict';

// Measures the overhead of `manager.fetch` over the platform's fetch with a static header.

const { compare, measureSides } = require('../measure.js');
const { withEndpoint } = require('../endpoint.js');
const { makeOurs } = require('../sides.js');

// Blocks are short, so that a disturbance of the machine affects both sides of a round.
const BLOCK = 20;
const WARM_UP = 25;
const USER = 'user:default/jane';

async function microsecondsPerCall(call) {
  const start = performance.now();
  for (let i = 0; i < BLOCK; i += 1) await (await call()).arrayBuffer();
  return ((performance.now() - start) * 1000) / BLOCK;
}

async function compareCalls(figure, rounds, calls) {
  const { ours, fetch: other } = await measureSides(
    ['ours', 'fetch'],
    { rounds, warmUp: WARM_UP },
    (name) => microsecondsPerCall(calls[name]),
  );
  return compare({ figure, unit: 'µs', ours, other, against: 'fetch', atMost: 1.1 });
}

async function measure(tokenEndpoint, api, rounds) {
  const manager = makeOurs(tokenEndpoint, { resource: { baseUrl: api } });
  const token = await manager.getToken();
  const Authorization = `Bearer ${token}`;
  const type = { 'Content-Type': 'application/json' };
  const post = { method: 'POST', body: JSON.stringify({ name: 'an agent' }) };
  const plainHeaders = { ...type, Authorization, 'X-Backstage-User': USER };
  const rows = [
    await compareCalls('GET', rounds, {
      ours: () => manager.fetch('/'),
      fetch: () => fetch(api, { headers: { Authorization } }),
    }),
    await compareCalls('POST of JSON for a user', rounds, {
      ours: () => manager.fetch('/', { ...post, headers: type, backstageUser: USER }),
      fetch: () => fetch(api, { ...post, headers: plainHeaders }),
    }),
  ];
  if ((await manager.getToken()) !== token) throw new Error('the manager replaced the token');
  await manager.close();
  return rows;
}

async function run({ quick }) {
  const rounds = quick ? 250 : 600;
  // A token endpoint also acts as the API: its answer, 1.6 KB of JSON, is typical of an API.
  const rows = await withEndpoint({}, (tokens) =>
    withEndpoint({}, (api) => measure(tokens.url, api.url, rounds)),
  );
  const notes = [`${rounds} interleaved rounds of ${BLOCK} calls, one after the other, over http.`];
  return { rows, notes };
}

module.exports = { title: 'manager.fetch beside fetch with a static header, loopback', run };
