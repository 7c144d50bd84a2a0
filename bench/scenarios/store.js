'use strict';

// Measures managers that share a store in a real Valkey: first tokens, beside a login on loopback;
// calls while a token is held; and the effect of an empty and of a frozen store. The rival is a
// Keyv map around openid-client.

const path = require('node:path');
const { missingServers, startCacheServer } = require('../../tools/cache-servers.js');
const { pinnedPackages } = require('../../tools/pinned-packages.js');
const { absolute, compare, quantile } = require('../measure.js');
const { withEndpoint } = require('../endpoint.js');
const { runChild } = require('../child.js');
const { installRivals } = require('../rivals/index.js');

const MANIFESTS = path.join(__dirname, '..', '..', '__test__', 'store', 'dependencies');
const CLIENTS = ['ioredis', 'node-redis'];
const RIVAL = 'Keyv map';
const CALLERS = 100;
/** The longest time that a measurement waits for a store that does not answer. */
const PATIENCE_MS = 2_000;
const TURN_MS = 12;

/** Returns the rows for first tokens. */
async function firstTokens(measure, rounds) {
  const rows = [];
  for (const client of CLIENTS) {
    const { hit, login } = await measure(client, 'hits', rounds);
    for (const [name, share] of [
      ['p50', 0.5],
      ['p99', 0.99],
    ]) {
      rows.push(
        absolute({
          figure: `first token from Valkey, ${client}, ${name}`,
          unit: 'ms',
          ours: quantile(hit, share),
          other: quantile(login, share),
          against: 'login',
        }),
      );
    }
  }
  return rows;
}

/** Returns the rows for a call while a token is held, in its own process. */
async function cachedRows(url, { quick, rounds }) {
  const most = quick ? 100_000 : 200_000;
  const names = ['ours', 'floor', 'shared'];
  const times = await runChild('cached', { url, names, rounds, most, turnMs: TURN_MS });
  const row = (other, against) =>
    compare({
      figure: 'cached, with a store',
      unit: 'ns',
      ours: times.shared,
      other,
      against,
      atMost: 1.1,
    });
  return [row(times.floor, 'floor'), row(times.ours, 'no store')];
}

async function run({ quick }) {
  const missing = missingServers();
  if (missing !== undefined)
    return { rows: [], notes: [`The bench left out the store: ${missing}`] };
  await installRivals();
  const modules = await pinnedPackages('stores', MANIFESTS);
  const server = await startCacheServer('valkey');
  try {
    return await withEndpoint({}, async ({ url, counts }) => {
      const settings = { url, modules, port: server.port };
      const measure = async (client, measurement, argument) => {
        await server.ask('FLUSHALL\r\n');
        return runChild('store', { ...settings, client, measurement, argument });
      };
      const rounds = quick ? 100 : 1_000;
      const rows = await firstTokens(measure, rounds);
      rows.push(...(await cachedRows(url, { quick, rounds: quick ? 7 : 21 })));
      const rival = await measure(RIVAL, 'hits', rounds);
      const perCall = { figure: 'a call while the store has a token', unit: 'ns' };
      const other = quantile(rival.hit, 0.5) * 1e6;
      rows.push(absolute({ ...perCall, ours: rows.at(-1).ours, other, against: RIVAL }));

      const logins = async (client) => {
        const { requests } = await counts();
        await measure(client, 'callers', CALLERS);
        return (await counts()).requests - requests;
      };
      rows.push(
        absolute({
          figure: `logins of ${CALLERS} callers, empty store`,
          ours: await logins('ioredis'),
          other: await logins(RIVAL),
          against: RIVAL,
          atMost: 1,
        }),
      );

      server.freeze();
      const first = (client) =>
        runChild('store', { ...settings, client, measurement: 'first', argument: PATIENCE_MS });
      rows.push(
        absolute({
          figure: 'first token, store frozen',
          unit: 'ms',
          ours: await first('ioredis'),
          other: await first(RIVAL),
          against: RIVAL,
          atMost: 400,
        }),
      );
      return {
        rows,
        notes: [
          `${rounds} first tokens of new managers in one process, each beside a login by another ` +
            'new manager over a kept connection.',
          `${RIVAL}: Keyv with @keyv/valkey around openid-client; each call reads the store. A ` +
            `time of ${PATIENCE_MS / 1_000} s is the limit of the measurement.`,
        ],
      };
    });
  } finally {
    await server.stop();
  }
}

module.exports = { title: 'A shared store', run };
