'use strict';

// Opens a store and makes the calls that the test sends, one in each line: `["get", "key"]`. Prints
// how each call ended within the time that a manager gives it. `["end"]` closes the client, if the
// application owns it; the program then ends as soon as nothing holds it.

const { createRequire } = require('node:module');
const path = require('node:path');
const readline = require('node:readline');
const { fromBackstageCache, fromIoredis, fromKeyv, fromNodeRedis } = require('../../lib/store');
const { tell } = require('../programs/program.js');

/** The limit of a manager for each call. */
const LIMIT_MS = 250;

const [name, modules, port, password] = process.argv.slice(2);
const load = createRequire(path.join(modules, 'index.js'));
const address = `127.0.0.1:${port}`;
const url = `redis://${password ? `:${password}@` : ''}${address}`;

/** Opens the store of a Keyv with an adapter; `end` closes the adapter's client. */
function keyv(adapter, at, end) {
  const { default: Keyv } = load('keyv');
  const { default: Adapter } = load(adapter);
  const store = new Adapter(at);
  return { store: fromKeyv(new Keyv(store)), end: () => end(store) };
}

function openCache(store, connection) {
  const { CacheManager } = load('@backstage/backend-defaults/cache');
  const { ConfigReader } = load('@backstage/config');
  const config = new ConfigReader({ backend: { cache: { store, connection, [store]: {} } } });
  return () => CacheManager.fromConfig(config);
}

const fromBackstage = (...cache) => ({ store: fromBackstageCache(openCache(...cache)) });

const OPEN = {
  'keyv with @keyv/redis': () => keyv('@keyv/redis', url, ({ client }) => client.destroy()),
  'keyv with @keyv/valkey': () => keyv('@keyv/valkey', url, ({ redis }) => redis.disconnect()),
  'keyv with @keyv/memcache': () => keyv('@keyv/memcache', address, ({ client }) => client.close()),
  'the Redis cache of Backstage': () => fromBackstage('redis', url),
  'the Redis cache of the oldest Backstage': () => fromBackstage('redis', url),
  'the Valkey cache of Backstage': () => fromBackstage('valkey', url),
  'the Memcached cache of Backstage': () => fromBackstage('memcache', address),
  // A release may lack the private members through which the store keeps the client alive.
  'a Backstage that hides its Redis client'() {
    const open = openCache('redis', url);
    // A backend logs an uncaught exception and goes on.
    process.on('uncaughtException', ({ message }) => console.error(message));
    return { store: fromBackstageCache(() => ({ forPlugin: (id) => open().forPlugin(id) })) };
  },
  'node-redis'() {
    const client = load('redis').createClient({ url });
    client.connect().catch(() => {});
    return { store: fromNodeRedis(client), end: () => client.destroy() };
  },
  ioredis() {
    const client = new (load('ioredis').Redis)(url);
    return { store: fromIoredis(client), end: () => client.disconnect() };
  },
};

// memjs logs to the standard output, which is for the test.
console.log = console.error;
const { store, end } = OPEN[name]();

/** Returns `{ value }` or `{ rejected }`; `{ pending }` after the limit. */
function outcomeOf(method, args) {
  const ended = store[method]?.(...args).then(
    (value) => ({ value: value ?? null }),
    ({ message }) => ({ rejected: message }),
  );
  const limit = new Promise((resolve) => {
    setTimeout(resolve, LIMIT_MS, { pending: true });
  });
  return Promise.race([ended ?? { value: null }, limit]);
}

const lines = readline.createInterface({ input: process.stdin });
lines.on('line', async (line) => {
  const [method, ...args] = JSON.parse(line);
  if (method !== 'end') return tell(await outcomeOf(method, args));
  process.stdin.unref();
  end?.();
});
