'use strict';

/** Tests a manager whose store hangs, dies and returns while callers request tokens. */

const assert = require('node:assert/strict');
const { before, describe, test } = require('node:test');
const { setTimeout: delay } = require('node:timers/promises');
const { missingServers, startCacheServer } = require('../../tools/cache-servers.js');
const { run } = require('../programs');
const { CLIENT, startEndpoint, until } = require('../support/manager.js');
const { INSTALL_TIMEOUT_MS, installClients } = require('./support.js');

const TOKEN_SECONDS = 3;
const OUTAGE_MS = 6_000;
const RETURNS_WITHIN_MS = 10_000;
/** A call that waits for a store waits once, for 250 ms, and then for a login. */
const CALL_LIMIT_MS = 400;

const STORES = {
  'node-redis': 'redis',
  ioredis: 'valkey',
  'keyv with @keyv/redis': 'redis',
  'the Redis cache of Backstage': 'redis',
  'the Valkey cache of Backstage': 'valkey',
  'the Memcached cache of Backstage': 'memcached',
};

const OUTAGES = {
  frozen: async (server) => {
    server.freeze();
    await delay(OUTAGE_MS);
    server.thaw();
    await server.ask(server.kind === 'memcached' ? 'flush_all\r\n' : 'FLUSHALL\r\n');
  },
  killed: async (server) => {
    await server.kill();
    await delay(OUTAGE_MS);
    await server.start();
  },
};

/** Whether the server holds an entry. The server starts with an empty memory. */
async function hasEntry({ kind, ask }) {
  if (kind !== 'memcached') return !/^:0/.test((await ask('DBSIZE\r\n')) ?? ':0');
  return /STAT curr_items [1-9]/.test((await ask('stats\r\n')) ?? '');
}

const skip = process.env.CI ? undefined : missingServers();

describe('a manager during an outage of its store', { skip, concurrency: 7 }, () => {
  let modulesOf;
  before(
    async () => {
      modulesOf = await installClients();
    },
    { timeout: INSTALL_TIMEOUT_MS },
  );

  for (const [name, kind] of Object.entries(STORES)) {
    test(`has a token for every call, and uses the store again: ${name}`, async (t) => {
      const endpoint = await startEndpoint(t, {
        clients: { [CLIENT.clientId]: CLIENT.clientSecret },
        expiresIn: TOKEN_SECONDS,
      });
      const server = await startCacheServer(kind);
      t.after(() => server.stop());
      const args = [endpoint.tokenEndpoint, 60, name, modulesOf(name), server.port];
      const program = run(t, '../store/replica.js', args, { limitMs: 60_000 });
      assert.equal(await program.next(), 'connected');
      program.goOn();
      await program.next();
      await until(() => hasEntry(server), 'the store has the token');
      for (const [outage, cause] of Object.entries(OUTAGES)) {
        await cause(server);
        const startMs = performance.now();
        const what = `the store has a token after it was ${outage}`;
        await until(() => hasEntry(server), what, RETURNS_WITHIN_MS);
        t.diagnostic(`used ${(performance.now() - startMs).toFixed(0)} ms after it was ${outage}`);
      }
      program.goOn();
      const { failed, tookMs, warnings } = await program.result();
      assert.deepEqual(failed, []);
      const worstMs = Math.max(...tookMs);
      t.diagnostic(`${tookMs.length} calls, the slowest took ${worstMs.toFixed(0)} ms`);
      assert.ok(worstMs <= CALL_LIMIT_MS, `a call took ${worstMs} ms`);
      assert.ok(warnings.length <= Object.keys(OUTAGES).length, `${warnings.join('\n')}`);
    });
  }
});
