'use strict';

// Opens the store of each adapter and client for a program.

const { createRequire } = require('node:module');
const path = require('node:path');
const { fromBackstageCache, fromIoredis, fromKeyv, fromNodeRedis } = require('../../lib/store');

/**
 * Opens the store with this name. `modules` contains the clients. Returns the store, and a function
 * `end()` if the application owns the client.
 */
function openStore(name, modules, port, password) {
  // memjs logs to the standard output, which the test reads.
  console.log = console.error;
  const load = createRequire(path.join(modules, 'index.js'));
  const address = `127.0.0.1:${port}`;
  return OPEN[name]({ load, address, url: `redis://${password ? `:${password}@` : ''}${address}` });
}

/** Opens the store of a Keyv with an adapter; `end` closes the adapter's client. */
function keyv(load, adapter, at, end) {
  const { default: Keyv } = load('keyv');
  const { default: Adapter } = load(adapter);
  const store = new Adapter(at);
  return { store: fromKeyv(new Keyv(store)), end: () => end(store) };
}

function openCache(load, store, connection) {
  const { CacheManager } = load('@backstage/backend-defaults/cache');
  const { ConfigReader } = load('@backstage/config');
  const config = new ConfigReader({ backend: { cache: { store, connection, [store]: {} } } });
  return () => CacheManager.fromConfig(config);
}

const fromBackstage = (...cache) => ({ store: fromBackstageCache(openCache(...cache)) });

const OPEN = {
  'keyv with @keyv/redis': ({ load, url }) =>
    keyv(load, '@keyv/redis', url, ({ client }) => client.destroy()),
  'keyv with @keyv/valkey': ({ load, url }) =>
    keyv(load, '@keyv/valkey', url, ({ redis }) => redis.disconnect()),
  'keyv with @keyv/memcache': ({ load, address }) =>
    keyv(load, '@keyv/memcache', address, ({ client }) => client.close()),
  'the Redis cache of Backstage': ({ load, url }) => fromBackstage(load, 'redis', url),
  'the Redis cache of the oldest Backstage': ({ load, url }) => fromBackstage(load, 'redis', url),
  'the Valkey cache of Backstage': ({ load, url }) => fromBackstage(load, 'valkey', url),
  'the Memcached cache of Backstage': ({ load, address }) =>
    fromBackstage(load, 'memcache', address),
  // A release may lack the private members through which the store keeps the client alive.
  'a Backstage that hides its Redis client'({ load, url }) {
    const open = openCache(load, 'redis', url);
    // Like a backend, this program survives an uncaught exception.
    process.on('uncaughtException', ({ message }) => console.error(message));
    return { store: fromBackstageCache(() => ({ forPlugin: (id) => open().forPlugin(id) })) };
  },
  'node-redis'({ load, url }) {
    const client = load('redis').createClient({ url });
    client.connect().catch(() => {});
    return { store: fromNodeRedis(client), end: () => client.destroy() };
  },
  ioredis({ load, url }) {
    const client = new (load('ioredis').Redis)(url);
    return { store: fromIoredis(client), end: () => client.disconnect() };
  },
};

module.exports = { openStore };
