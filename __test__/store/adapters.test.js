'use strict';

/**
 * Tests the adapters of `/store`, each with its client and with real servers that work, hang, die
 * and return.
 */

const assert = require('node:assert/strict');
const { after, before, describe, test } = require('node:test');
const { setTimeout: delay } = require('node:timers/promises');
const { missingServers, startCacheServer } = require('../../tools/cache-servers.js');
const { freePorts } = require('../../tools/server-process.js');
const { run } = require('../programs');
const { INSTALL_TIMEOUT_MS, installClients } = require('./support.js');

const PREFIX = 'keycloak-token-manager:';
const RECOVERS_WITHIN_MS = 10_000;
/** On a busy machine, Backstage takes seconds to load. */
const LOADS_WITHIN_MS = 60_000;
/** A manager probes a store every 5 s; the test probes it more often. */
const PROBE_EVERY_MS = 250;
const REMADE_AFTER_PROBES = 3;
const ENDS_WITHIN_MS = 3_000;
const HIDDEN = 'a Backstage that hides its Redis client';
/**
 * This store's client waits for its next attempt to connect with a timer that keeps the process
 * running.
 */
const HELD_WITHOUT_SERVER = 'the Redis cache of Backstage';
const MISS = { value: null };

/** The adapters with the servers that their clients support. */
const PAIRS = [
  ['keyv with @keyv/redis', 'redis'],
  ['keyv with @keyv/redis', 'valkey'],
  ['keyv with @keyv/valkey', 'redis'],
  ['keyv with @keyv/valkey', 'valkey'],
  ['keyv with @keyv/memcache', 'memcached'],
  ['the Redis cache of Backstage', 'redis'],
  ['the Redis cache of Backstage', 'valkey'],
  ['the Redis cache of the oldest Backstage', 'redis'],
  [HIDDEN, 'redis'],
  ['the Valkey cache of Backstage', 'valkey'],
  ['the Memcached cache of Backstage', 'memcached'],
  ['node-redis', 'redis'],
  ['node-redis', 'valkey'],
  ['ioredis', 'redis'],
  ['ioredis', 'valkey'],
];

/** Times to live, each with the longest time that the entry may last; `undefined` for none. */
const TIMES_TO_LIVE = [
  [0, undefined],
  [-1, undefined],
  [-60_000, undefined],
  [null, undefined],
  [0.5, 1_000],
  [999.9, 1_000],
  [1500.7, 1_500],
  [60_000, 60_000],
];

/** Returns the names of all entries in the form in which the server stores them. */
async function keysIn({ kind, ask }) {
  if (kind === 'memcached') {
    const dump = (await ask('lru_crawler metadump all\r\n')) ?? '';
    return Array.from(dump.matchAll(/key=(\S+)/g), ([, key]) => decodeURIComponent(key));
  }
  const list = await ask('KEYS *\r\n');
  // @keyv/valkey keeps the names of its entries in an entry `namespace:…`.
  return list.split('\r\n').filter((line) => line !== '' && !/^([*$]|namespace:)/.test(line));
}

/** Writes an entry without the client. */
async function write({ kind, ask }, key, value) {
  const isMemcached = kind === 'memcached';
  const line = isMemcached
    ? `set ${key} 0 60 ${value.length}\r\n${value}\r\n`
    : `SET "${key}" "${value}" PX 60000\r\n`;
  assert.match(await ask(line), isMemcached ? /^STORED/ : /^\+OK/);
}

/** Returns the remaining time of an entry in Redis or Valkey. */
const leftMs = async ({ ask }, key) => Number(/:(-?\d+)/.exec(await ask(`PTTL "${key}"\r\n`))[1]);

/** Finds the prefix in a key: Backstage encodes the part of a key after the plugin id. */
const isOurs = (key) =>
  key.includes(PREFIX) || Buffer.from(key.split(':').at(-1), 'base64').includes(PREFIX);

/**
 * Returns a function that calls a program's store. Each call ends within a manager's time limit.
 */
function callsOf(program) {
  return async (...call) => {
    program.goOn(JSON.stringify(call));
    return program.next();
  };
}

/** Resolves with the outcomes of the calls while the server is away. No call finds an entry. */
async function outcomesAway(call, key) {
  const outcomes = [];
  for (const args of [
    ['get', key],
    ['set', key, 'away', 60_000],
    ['delete', key],
    ['get', key],
  ]) {
    const outcome = await call(...args);
    assert.ok('pending' in outcome || 'rejected' in outcome || outcome.value !== 'away', outcome);
    outcomes.push(Object.keys(outcome)[0]);
  }
  return outcomes.join(', ');
}

/** Resolves when the store works again, with the time that it took. */
async function recovers(call, withinMs = RECOVERS_WITHIN_MS) {
  const start = performance.now();
  for (let probes = 1; ; probes += 1) {
    await call('set', 'probe', `${probes}`, 60_000);
    const { value } = await call('get', 'probe');
    const tookMs = performance.now() - start;
    if (value === `${probes}`) return `works after ${tookMs.toFixed(0)} ms`;
    assert.ok(tookMs < withinMs, 'the store does not recover');
    if (probes % REMADE_AFTER_PROBES === 0) await call('remake');
    await delay(PROBE_EVERY_MS);
  }
}

/** The tests of a store whose server works at first, in this order. */
const TESTS = {
  async 'returns an entry until it deletes the entry'({ call, server }) {
    assert.deepEqual(await call('get', 'absent'), MISS);
    await call('set', 'one', ':"{ü}', 60_000);
    assert.deepEqual(await call('get', 'one'), { value: ':"{ü}' });
    const keys = await keysIn(server);
    assert.ok(keys.length > 0 && keys.every(isOurs), `${keys}`);
    await call('delete', 'one');
    assert.deepEqual(await call('get', 'one'), MISS);
  },

  async 'keeps an entry for a whole, positive time to live'({ call, server }) {
    for (const [ttlMs, keptMs] of TIMES_TO_LIVE) {
      await call('set', 'kept', `${ttlMs}`, ttlMs);
      const [key] = await keysIn(server);
      if (keptMs === undefined) assert.equal(key, undefined, `${ttlMs}`);
      else if (server.kind !== 'memcached') {
        const left = await leftMs(server, key);
        assert.ok(left > keptMs - 500 && left <= keptMs, `${ttlMs}: ${left}`);
      }
      // Memcached counts in whole seconds, and the current second may be nearly over.
      if (keptMs > 2_000) assert.deepEqual(await call('get', 'kept'), { value: `${ttlMs}` });
      await call('delete', 'kept');
    }
  },

  async 'does not read the entries of other programs'({ call, server }) {
    for (const key of ['other', 'keyv:other', `${PREFIX.slice(0, -1)}other`]) {
      await write(server, key, 'foreign');
      assert.deepEqual(await call('get', 'other'), MISS);
    }
  },

  async 'treats an invalid entry as a miss, or returns it for the manager to check'({
    call,
    name,
    server,
  }) {
    await call('set', 'broken', 'value', 60_000);
    const key = (await keysIn(server)).find(isOurs);
    for (const value of ['{', '{}', '[]', '7', 'null', '']) {
      await write(server, key, value);
      const isRaw = ['node-redis', 'ioredis'].includes(name);
      assert.deepEqual(await call('get', 'broken'), isRaw ? { value } : MISS, value);
    }
    await call('set', 'broken', 'whole', 60_000);
    assert.deepEqual(await call('get', 'broken'), { value: 'whole' });
  },

  async 'works again after the server was frozen'({ call, server, t }) {
    server.freeze();
    t.diagnostic(`frozen: ${await outcomesAway(call, 'frozen')}`);
    await delay(500);
    server.thaw();
    t.diagnostic(await recovers(call));
  },

  async 'works again after the server was killed and started again'({ call, server, t }) {
    await server.kill();
    t.diagnostic(`killed: ${await outcomesAway(call, 'killed')}`);
    await delay(500);
    await server.start();
    t.diagnostic(await recovers(call));
  },
};

const skip = process.env.CI ? undefined : missingServers();

describe('the adapters with real servers', { skip, concurrency: 4 }, () => {
  let modulesOf;

  before(
    async () => {
      modulesOf = await installClients();
    },
    { timeout: INSTALL_TIMEOUT_MS },
  );

  /** Runs a program with the store, until the suite or the test ends. */
  const start = (t, name, port, password = '') =>
    run(t, '../store/program.js', [name, modulesOf(name), port, password], { limitMs: 180_000 });

  /** Resolves when the program has ended by itself. */
  async function end(program) {
    const startMs = performance.now();
    program.goOn('["end"]');
    const { code, signal, errors } = await program.ended();
    assert.equal(code, 0, `${signal}: ${errors}`);
    const tookMs = performance.now() - startMs;
    assert.ok(tookMs < ENDS_WITHIN_MS, `the client held the process for ${tookMs} ms`);
  }

  for (const [name, kind] of PAIRS) {
    describe(`${name}, with ${kind}`, { concurrency: 1 }, () => {
      const cleaning = [];
      let server;
      let program;
      before(async () => {
        server = await startCacheServer(kind);
        cleaning.push(() => server.stop());
        program = start({ after: (clean) => cleaning.push(clean) }, name, server.port);
        // The first call may load the client and connect.
        await recovers(callsOf(program), LOADS_WITHIN_MS);
        await callsOf(program)('delete', 'probe');
      });
      after(async () => {
        for (const clean of cleaning.reverse()) await clean();
      });

      for (const [title, check] of Object.entries(TESTS)) {
        test(title, (t) => check({ call: callsOf(program), name, server, t }));
      }

      // This store cannot reach the client; the other tests show that it opens another cache.
      if (name === HIDDEN) return;
      test('does not keep the process running', () => end(program));

      test('without a server, hangs or fails but neither ends the process nor keeps it running', async (t) => {
        const [port] = await freePorts(1);
        const alone = start(t, name, port);
        t.diagnostic(`unreachable: ${await outcomesAway(callsOf(alone), 'unreachable')}`);
        if (name !== HELD_WITHOUT_SERVER) await end(alone);
      });

      test('works after it connected to a frozen server', async (t) => {
        server.freeze();
        const early = start(t, name, server.port);
        t.diagnostic(`connecting: ${await outcomesAway(callsOf(early), 'early')}`);
        server.thaw();
        t.diagnostic(await recovers(callsOf(early)));
        await end(early);
      });

      // Plain Memcached has no passwords.
      if (kind === 'memcached') return;
      test('with a wrong password, hangs or fails but neither ends the process nor keeps it running', async (t) => {
        const closed = await startCacheServer(kind, { password: 'right' });
        t.after(() => closed.stop());
        const outside = start(t, name, closed.port, 'wrong');
        t.diagnostic(`wrong password: ${await outcomesAway(callsOf(outside), 'refused')}`);
        await end(outside);
      });
    });
  }
});
