'use strict';

// The option `store` through the addon, with an in-memory store. `crates/manager/tests` checks the
// entries, the decisions and a simulated fleet.

const assert = require('node:assert/strict');
const { AsyncLocalStorage } = require('node:async_hooks');
const { describe, test } = require('node:test');
const reconfigure = require('../lib/reconfigure.js');
const { run } = require('./programs/index.js');
const { MemoryStore } = require('./support/memory-store.js');
const {
  CLIENT,
  delay,
  numbered,
  openManager,
  rejection,
  start,
  times,
  unhandledRejections,
  until,
} = require('./support/manager.js');

/** A hanging test must fail. */
const LIMIT_MS = 60_000;
const STORE_KEY = 'the-store-key-of-all-replicas';

/** Starts replicas of one client that share a store. */
async function startFleet(t, count, options = {}, endpointOptions = {}) {
  const store = new MemoryStore();
  const parts = await start(t, { store, storeKey: STORE_KEY, ...options }, endpointOptions);
  const others = times(count - 1, () => parts.open());
  return { ...parts, store, replicas: [parts.manager, ...others] };
}

/** The time that a call takes, in ms. */
async function timed(call) {
  const start = performance.now();
  await call();
  return performance.now() - start;
}

const counters = (manager) => manager.snapshot().counters;

describe('replicas with a store', { timeout: LIMIT_MS }, () => {
  test('never share a token for which a function provides the assertion', async (t) => {
    const { endpoint, replicas, store } = await startFleet(t, 1, { storeUserTokens: true });
    let count = 0;
    endpoint.setAnswer(() => ({
      body: { access_token: `token-${++count}`, token_type: 'Bearer', expires_in: 300 },
    }));
    const [manager] = replicas;
    const tokenOf = (user) =>
      manager.for({ grant: { type: 'jwt-bearer', assertion: () => user } }).getToken();
    assert.notEqual(await tokenOf('alice'), await tokenOf('bob'));
    assert.equal(store.entries.size, 0);
  });

  test('keep the token when one of them closes with revoke: true', async (t) => {
    const { endpoint, replicas, store } = await startFleet(t, 2);
    const [first, second] = replicas;
    const token = await first.getToken();
    await until(() => store.entries.size === 1, 'the token is in the store');
    await first.close({ revoke: true });
    assert.deepEqual(endpoint.revokedTokens, []);
    assert.equal(await second.getToken(), token);
  });

  test('log in once, and later replicas take the token from the store', async (t) => {
    const { endpoint, replicas, store, open } = await startFleet(t, 3);
    const [first, ...others] = replicas;
    const token = await first.getToken();
    await until(() => store.entries.size === 1, 'the token is in the store');
    for (const other of others) assert.equal(await other.getToken(), token);
    assert.equal(endpoint.requestCount, 1);
    assert.deepEqual(store.takeCalls(), ['get', 'set', 'get', 'get']);
    assert.equal(counters(others[0]).storeHits, 1);
    const { expiresAt, scope, issuedAt } = await first.getAccessToken();
    const taken = await others[0].getAccessToken();
    assert.deepEqual([taken.issuedAt, taken.scope], [issuedAt, scope]);
    assert.equal(Math.round((expiresAt - taken.expiresAt) / 10), 200, 'ends 2 s earlier');
    await open({ clientId: 'another-client' })
      .getToken()
      .catch(() => {});
    assert.deepEqual(store.takeCalls(), ['get'], 'another client finds nothing');
    const forced = await others[0].getToken({ forceRefresh: true });
    assert.notEqual(forced, token);
    assert.equal(await open().getToken(), forced);
  });

  test('give the store ciphertext, opaque keys, and whole positive times to live', async (t) => {
    const { manager, store } = await startFleet(t, 1);
    const token = await manager.getToken();
    await until(() => store.entries.size === 1, 'the token is in the store');
    const [[key, { value, ttlMs }]] = store.entries;
    assert.match(key, /^kctm-1-[\w-]{43}$/);
    assert.match(value, /^[\w-]+$/);
    for (const part of [...token.split('.'), CLIENT.clientId, CLIENT.clientSecret, STORE_KEY]) {
      const raw = Buffer.from(value, 'base64url').toString('latin1');
      for (const text of [key, value, raw]) assert.ok(!text.includes(part.slice(0, 12)));
    }
    assert.ok(Number.isInteger(ttlMs) && ttlMs > 0 && ttlMs <= 299_000, `${ttlMs}`);
  });

  test('do not take a rejected or cleared token from the store again', async (t) => {
    const drops = {
      rejected: (manager, token) => manager.invalidateToken(token),
      cleared: (manager) => manager.clearCache(),
    };
    for (const [name, drop] of Object.entries(drops)) {
      const { endpoint, replicas, store } = await startFleet(t, 2);
      const [one, other] = replicas;
      const token = await one.getToken();
      await until(() => store.entries.size === 1, 'the token is in the store');
      assert.equal(await other.getToken(), token, name);
      const entries = [...store.entries];
      drop(other, token);
      await until(() => store.entries.size === 0, 'the manager deletes the token from the store');
      for (const [key, entry] of entries) store.entries.set(key, entry);
      const next = await other.getToken();
      assert.notEqual(next, token, name);
      assert.equal(endpoint.requestCount, 2, name);
      assert.equal(await one.getToken(), token, 'another replica is not affected');
    }
  });

  test('share the tokens of derived managers, and user tokens only with storeUserTokens', async (t) => {
    const user = 'the-token-of-a-user';
    for (const storeUserTokens of [false, true]) {
      const { endpoint, replicas, store } = await startFleet(t, 2, { storeUserTokens });
      endpoint.setAnswer(numbered());
      const results = [];
      for (const manager of replicas) {
        results.push(await manager.for({ scope: 'a' }).getToken());
        results.push(await manager.onBehalfOf(user).getToken());
        await until(() => store.entries.size === 1 + Number(storeUserTokens), 'all is stored');
      }
      const expected = storeUserTokens
        ? ['token-1', 'token-2', 'token-1', 'token-2']
        : ['token-1', 'token-2', 'token-1', 'token-3'];
      assert.deepEqual(results, expected);
    }
  });

  test("call the store in the constructor's async context", async (t) => {
    const { open } = await start(t);
    const context = new AsyncLocalStorage();
    const seen = [];
    const note = async () => void seen.push(context.getStore());
    const store = { get: note, set: note, delete: note };
    const manager = context.run('constructor', () => open({ store, storeKey: STORE_KEY }));
    await context.run('caller', () => manager.getToken());
    await until(() => seen.length === 2, 'the token is in the store');
    assert.deepEqual(seen, ['constructor', 'constructor']);
  });

  test('use another store after a configuration change', async (t) => {
    const { endpoint, manager, store } = await startFleet(t, 1);
    await manager.getToken();
    const next = new MemoryStore();
    const { tokenEndpoint } = endpoint;
    manager[reconfigure]({ ...CLIENT, tokenEndpoint, store: next, storeKey: STORE_KEY });
    await manager.getToken({ forceRefresh: true });
    await until(() => next.entries.size === 1, 'the token is in the other store');
    store.takeCalls();
    manager[reconfigure]({ ...CLIENT, tokenEndpoint });
    await manager.getToken({ forceRefresh: true });
    assert.deepEqual(store.takeCalls(), []);
  });
});

describe('a blocked event loop', { timeout: LIMIT_MS }, () => {
  test('keeps a manager from the store, but not from the server', async (t) => {
    const { endpoint } = await start(t, {}, { expiresIn: 3 });
    const args = [endpoint.tokenEndpoint, 'between calls', 500, 4_500, 1];
    const { ms, isNew, left, storeFailures } = await run(t, 'blocked.js', args).result();
    assert.equal(isNew, true);
    assert.ok(left > 0, 'the token is valid');
    assert.ok(ms < 100, `the caller waited ${ms} ms`);
    assert.equal(storeFailures, 0);
  });
});

describe('a store that fails', { timeout: LIMIT_MS, concurrency: true }, () => {
  /** The limit of a call, plus a margin. `crates/manager/tests` checks the limit itself. */
  const MOST_MS = 250 + 550;

  for (const mode of ['slow', 'frozen', 'dead', 'throws', 'rejects', 'full']) {
    test(`fails no call, and the manager uses it again within ten seconds: ${mode}`, async (t) => {
      const rejections = unhandledRejections(t);
      const { manager, store, lines, at } = await startFleet(t, 1);
      store.setMode(mode);
      const first = await timed(() => manager.getToken());
      assert.ok(first <= MOST_MS, `the first call takes ${first} ms`);
      await delay(600);
      const isOut = !['slow', 'full'].includes(mode);
      for (const _ of times(50)) {
        const duration = await timed(() => manager.getToken({ forceRefresh: true }));
        assert.ok(!isOut || duration < 200, `a later call takes ${duration} ms`);
      }
      if (isOut) assert.ok(store.calls.length <= 3, `${store.calls}`);
      // Neither writes nor calls that the manager no longer waits for accumulate.
      assert.ok(store.pending <= 2, `${store.pending} pending calls`);
      const hasFailed = mode !== 'slow';
      assert.equal(counters(manager).storeFailures > 0, hasFailed);
      assert.equal(at('warn').length, Number(hasFailed), at('warn').join());
      store.setMode('works');
      const back = performance.now();
      store.entries.clear();
      await until(
        async () => {
          await manager.getToken({ forceRefresh: true });
          return store.entries.size === 1;
        },
        'the store is used again',
        10_000,
      );
      t.diagnostic(`${mode}: used again after ${Math.round(performance.now() - back)} ms`);
      assert.equal(at('info').filter((line) => line.includes('works again')).length, +hasFailed);
      assert.ok(lines.every(({ message }) => !message.includes('password')));
      assert.deepEqual(rejections, []);
    });
  }

  test('fails no call if it returns garbage', async (t) => {
    const { open } = await start(t);
    for (const value of [
      '',
      'garbage',
      '%%%',
      'A'.repeat(100_000),
      null,
      7,
      {},
      Buffer.from('x'),
    ]) {
      const store = { get: async () => value, set: async () => false, delete: async () => 0 };
      const manager = open({ store, storeKey: STORE_KEY });
      assert.match(await manager.getToken(), /^ey/);
    }
  });

  test('works again after the manager has called its method remake()', async (t) => {
    const { open } = await start(t);
    const store = new MemoryStore();
    let remakes = 0;
    store.remake = () => {
      remakes += 1;
      store.setMode('works');
    };
    store.setMode('dead');
    const manager = open({ store, storeKey: STORE_KEY });
    await manager.getToken();
    await until(() => remakes === 1, 'the store is remade', 12_000);
    await until(
      async () => {
        await manager.getToken({ forceRefresh: true });
        return store.entries.size === 1;
      },
      'the store is used again',
      7_000,
    );
  });
});

describe('the constructor with store options', { timeout: LIMIT_MS }, () => {
  const store = new MemoryStore();
  const tokenEndpoint = 'https://sso.example/token';
  const secret = { clientSecret: 'a-client-secret-of-24-ch' };
  for (const [name, options, fault] of [
    ['a long secret', { ...secret, store }, undefined],
    ['a key with a store', { store, storeKey: STORE_KEY }, undefined],
    ['a Map as the store', { store: new Map(), storeKey: STORE_KEY }, undefined],
    ['a short secret', { store }, /storeKey: expected a secret of at least 24 characters/],
    [
      'a secret function without a key',
      { clientSecret: () => 'x', store },
      /storeKey: expected a secret/,
    ],
    ['a short key', { ...secret, store, storeKey: 'canary' }, /storeKey: expected a secret/],
    ['a number as the key', { ...secret, store, storeKey: 7 }, /storeKey: expected a non-emp/],
    ['a key without a store', { storeKey: STORE_KEY }, /storeKey: this option requires store/],
    [
      'user tokens without a store',
      { storeUserTokens: true },
      /storeUserTokens: this option requires/,
    ],
    [
      'a number as the store',
      { store: 7, storeKey: STORE_KEY },
      /store: expected an object with the methods/,
    ],
    [
      'a store without methods',
      { store: {}, storeKey: STORE_KEY },
      /store: expected an object with the methods/,
    ],
  ]) {
    test(`${fault === undefined ? 'accepts' : 'refuses'} ${name}`, async (t) => {
      const open = () => openManager(t, { tokenEndpoint, ...options });
      if (fault === undefined) return open();
      const error = await rejection((async () => open())(), 'ERR_KEYCLOAK_CONFIG');
      assert.match(error.message, fault);
      assert.ok(!error.message.includes('canary'));
    });
  }
});
