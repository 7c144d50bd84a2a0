'use strict';

// Measures the overhead of `manager.fetch` over the platform's fetch with a static header, and of
// DPoP over bearer tokens.

const { compare, compareSides, measureSides } = require('../measure.js');
const { withEndpoint } = require('../endpoint.js');
const { makeDpopCall } = require('../rivals/dpop.js');
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

/** Compares `manager.fetch` with DPoP to itself without DPoP, and to openid-client with DPoP. */
async function compareDpop(tokenEndpoint, api, rounds) {
  const notes = [];
  const resource = { baseUrl: api };
  const managers = [true, false].map((dpop) => makeOurs(tokenEndpoint, { resource, dpop }));
  const [bound, bearer] = managers;
  const calls = { ours: () => bound.fetch('/'), bearer: () => bearer.fetch('/') };
  try {
    calls['openid-client'] = await makeDpopCall(tokenEndpoint, api);
  } catch (error) {
    notes.push(`The bench left out openid-client with DPoP: ${error.message.split('\n', 1)[0]}`);
  }
  const settings = { rounds, warmUp: WARM_UP };
  const results = await measureSides(Object.keys(calls), settings, (name) =>
    microsecondsPerCall(calls[name]),
  );
  const { tokenType } = await bound.getAccessToken();
  if (tokenType !== 'DPoP') throw new Error('the token is not bound');
  await Promise.all(managers.map((manager) => manager.close()));
  const sides = [
    ['bearer', 1.4],
    ['openid-client', 0.8],
  ];
  return { rows: compareSides('GET with DPoP', 'µs', results, sides), notes };
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
  return withEndpoint({}, (tokens) =>
    withEndpoint({}, async (api) => {
      const rows = await measure(tokens.url, api.url, rounds);
      const withDpop = await compareDpop(tokens.url, api.url, rounds);
      const kind = `${rounds} interleaved rounds of ${BLOCK} calls, one after the other, over http.`;
      return { rows: [...rows, ...withDpop.rows], notes: [kind, ...withDpop.notes] };
    }),
  );
}

module.exports = { title: 'manager.fetch beside fetch with a static header, loopback', run };
