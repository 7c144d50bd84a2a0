'use strict';

/** Tests the adapters of `/store` with scripted clients. */

const assert = require('node:assert/strict');
const { EventEmitter } = require('node:events');
const { describe, test } = require('node:test');
const { KeycloakTokenError } = require('../..');
const store = require('../../lib/store');
const { unhandledRejections } = require('../support/manager.js');

/** Creates a client that has the methods for every adapter, all with the same behaviour. */
function clientThat(answer) {
  const client = new EventEmitter();
  for (const name of ['get', 'set', 'delete', 'del']) client[name] = (...args) => answer(...args);
  return client;
}

/** Creates a CacheManager like Backstage's, with the client that its Keyv hides. */
const managerOf = (cache, client) => ({
  forPlugin: () => cache,
  ...(client && { getClientWithTtl: () => ({ store: { client } }) }),
});

/** Each way to turn a client into a store. */
const MAKE = {
  fromKeyv: (client) => store.fromKeyv(client),
  fromNodeRedis: (client) => store.fromNodeRedis(client),
  fromIoredis: (client) => store.fromIoredis(client),
  'fromBackstageCache with a service': (client) => store.fromBackstageCache(client),
  'fromBackstageCache with a manager': (client) => store.fromBackstageCache(managerOf(client)),
  'fromBackstageCache with a function': (client) => store.fromBackstageCache(() => client),
  'fromBackstageCache with an asynchronous function': (client) =>
    store.fromBackstageCache(async () => managerOf(client)),
};

const REFUSED = {
  'a missing Keyv': [() => store.fromKeyv(), /fromKeyv: expected an instance of Keyv/],
  'a Keyv in memory': [
    () => store.fromKeyv(Object.assign(clientThat(), { opts: { store: new Map() } })),
    /fromKeyv: this Keyv keeps its entries in memory/,
  ],
  'a newer Keyv in memory': [
    () => store.fromKeyv(Object.assign(clientThat(), { store: { store: new Map() } })),
    /fromKeyv: this Keyv keeps its entries in memory/,
  ],
  'an ioredis client for node-redis': [
    () => store.fromNodeRedis(Object.assign(clientThat(), { status: 'ready' })),
    /fromNodeRedis: expected a client of the package redis/,
  ],
  'a node-redis client for ioredis': [
    () => store.fromIoredis(Object.assign(clientThat(), { isOpen: true })),
    /fromIoredis: expected a client of the package ioredis or iovalkey/,
  ],
  'a string for a Backstage cache': [
    () => store.fromBackstageCache('redis'),
    /fromBackstageCache: expected a CacheService/,
  ],
  'a CacheManager in memory': [
    () => store.fromBackstageCache({ ...managerOf(clientThat()), store: 'memory' }),
    /keeps its cache in memory, where other replicas cannot find/,
  ],
  'an empty id': [
    () => store.fromBackstageCache(managerOf(clientThat()), ''),
    /id: expected a non-empty string/,
  ],
};

describe('an adapter', () => {
  for (const [what, [make, message]] of Object.entries(REFUSED)) {
    test(`refuses ${what}`, () => {
      assert.throws(make, (error) => {
        assert.ok(error instanceof KeycloakTokenError);
        assert.equal(error.code, 'ERR_KEYCLOAK_CONFIG');
        assert.match(error.message, message);
        return true;
      });
    });
  }
});

for (const [how, make] of Object.entries(MAKE)) {
  describe(`a store from ${how}`, () => {
    test('rejects if the client throws, and causes no unhandled rejection', async (t) => {
      const unhandled = unhandledRejections(t);
      const fault = new Error('broken');
      const broken = make(
        clientThat(() => {
          throw fault;
        }),
      );
      const rejecting = make(clientThat(() => Promise.reject(fault)));
      for (const made of [broken, rejecting]) {
        made.get('key');
        made.set('key', 'value', 1_000);
        made.delete('key');
        await assert.rejects(made.get('key'), fault);
      }
      await new Promise(setImmediate);
      assert.deepEqual(unhandled, []);
    });

    test('treats a value that is not text as a miss', async () => {
      for (const value of [null, undefined, 7, {}, ['text'], Buffer.from('text')]) {
        assert.equal(await make(clientThat(async () => value)).get('key'), undefined);
      }
      const invalid = make(clientThat(async () => JSON.parse('{')));
      assert.equal(await invalid.get('key'), undefined);
    });

    test('adds its prefix, and passes whole milliseconds', async () => {
      const calls = [];
      const made = make(clientThat(async (...args) => void calls.push(args)));
      await made.get('key');
      await made.set('key', 'value', 1_234.5);
      await made.delete('key');
      for (const [key] of calls) assert.equal(key, 'keycloak-token-manager:key');
      const [, [, value, ...ttl]] = calls;
      assert.equal(value, 'value');
      assert.match(JSON.stringify(ttl), /\b1234\b/);
      for (const ttlMs of [0, -1, Number.NaN, Number.POSITIVE_INFINITY, undefined]) {
        await made.set('key', 'value', ttlMs);
      }
      assert.equal(calls.length, 3);
    });
  });
}

test('an error event of a client that several stores share does not end the process', () => {
  const client = clientThat(async () => {});
  for (const make of [store.fromKeyv, store.fromNodeRedis, store.fromIoredis]) {
    make(client);
    make(client);
  }
  client.emit('error', new Error('lost'));
  assert.equal(client.listenerCount('error'), 1);
});

describe('a store from fromBackstageCache with a function', () => {
  /** Counts the caches that the store opens, and the clients that it ends. */
  function countingStore(hasClient) {
    const count = { opened: 0, ended: 0 };
    const open = () => {
      count.opened += 1;
      const client = Object.assign(new EventEmitter(), { disconnect: () => void count.ended++ });
      return managerOf(
        clientThat(async () => `${count.opened}`),
        hasClient && client,
      );
    };
    return { count, made: store.fromBackstageCache(open) };
  }

  test('opens the cache at the first use, and another one after each remake', async () => {
    const { count, made } = countingStore(true);
    await made.remake();
    assert.deepEqual(count, { opened: 0, ended: 0 });
    for (const round of [1, 2, 3]) {
      assert.equal(await made.get('key'), `${round}`);
      assert.equal(await made.get('key'), `${round}`);
      await made.remake();
    }
    assert.deepEqual(count, { opened: 3, ended: 3 });
  });

  test('replaces a client that it cannot end, but at most once a minute', async () => {
    const { count, made } = countingStore(false);
    const outcomes = [];
    for (let round = 0; round < 4; round += 1) {
      await made.get('key');
      const outcome = made.remake().then(
        () => 'replaced',
        () => 'rejected',
      );
      outcomes.push(await outcome);
    }
    assert.deepEqual(outcomes, ['replaced', 'rejected', 'rejected', 'rejected']);
    assert.deepEqual(count, { opened: 2, ended: 0 });
  });

  test('opens the cache again if the function failed', async () => {
    let calls = 0;
    const made = store.fromBackstageCache(async () => {
      calls += 1;
      if (calls === 1) throw new Error('not yet');
      return clientThat(async () => 'value');
    });
    await assert.rejects(made.get('key'), /not yet/);
    assert.equal(await made.get('key'), 'value');
  });

  test('rejects if the cache is in memory', async () => {
    const made = store.fromBackstageCache(() => ({ ...managerOf(clientThat()), store: 'memory' }));
    await assert.rejects(made.get('key'), { code: 'ERR_KEYCLOAK_CONFIG' });
  });
});
