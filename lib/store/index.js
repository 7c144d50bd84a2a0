/**
 * Turns a cache client of the application into a shared store. The manager limits the time of each
 * call, because no client does so in every case. A method of a store never throws: it returns a
 * promise, whose rejection needs no handler.
 */
'use strict';

const { KeycloakTokenError } = require('../../index.js');
const {
  endClient,
  ignoreErrors,
  isInMemory,
  openQuietly,
  tameKeyv,
  unrefClient,
} = require('./clients.js');

/**
 * The prefix of the keys. In older Backstage releases, all plugins share the entries of a cache.
 */
const PREFIX = 'keycloak-token-manager:';
const DEFAULT_ID = 'keycloak-token-manager';
/** Memcached counts whole seconds, and some clients keep an entry with a shorter life forever. */
const MIN_TTL_MS = 1_000;
/**
 * The shortest time between the creation of two clients if the store cannot close the first one.
 */
const REMAKE_INTERVAL_MS = 60_000;

const ignore = () => {};

/** The calls for each kind of client. They receive complete keys and valid times to live. */
const CALLS = {
  keyv: (keyv) => ({
    get: (key) => keyv.get(key),
    set: (key, value, ttlMs) => keyv.set(key, value, ttlMs),
    delete: (key) => keyv.delete(key),
  }),
  cache: (cache) => ({
    get: (key) => cache.get(key),
    set: (key, value, ttlMs) => cache.set(key, value, { ttl: ttlMs }),
    delete: (key) => cache.delete(key),
  }),
  nodeRedis: (client) => ({
    get: (key) => client.get(key),
    set: (key, value, ttlMs) => client.set(key, value, { PX: ttlMs }),
    delete: (key) => client.del(key),
  }),
  ioredis: (client) => ({
    get: (key) => client.get(key),
    set: (key, value, ttlMs) => client.set(key, value, 'PX', ttlMs),
    delete: (key) => client.del(key),
  }),
};

/**
 * Creates the store. For each use, `current()` returns the calls of the client, or a promise for
 * these calls.
 */
function createStore(current, more = {}) {
  const call = (use, read = ignore) => {
    const result = new Promise((resolve) => resolve(current())).then(use).then(read);
    // The manager may have stopped waiting for the result.
    result.catch(ignore);
    return result;
  };
  return Object.freeze({
    get(key) {
      const value = call((calls) => calls.get(PREFIX + key), textIn).catch(missIfBroken);
      value.catch(ignore);
      return value;
    },
    set(key, value, ttlMs) {
      const ttl = wholeMs(ttlMs);
      if (ttl === undefined) return Promise.resolve();
      return call((calls) => calls.set(PREFIX + key, value, ttl));
    },
    delete: (key) => call((calls) => calls.delete(PREFIX + key)),
    ...more,
  });
}

const textIn = (value) => (typeof value === 'string' ? value : undefined);

/** Treats an entry that is not JSON as a miss: the entry is corrupted, but the store works. */
function missIfBroken(error) {
  if (error?.name === 'SyntaxError') return undefined;
  throw error;
}

/**
 * Returns the time to live in a form that every client interprets in the same way. Returns
 * `undefined` if the entry has expired, or if some clients would keep it forever.
 */
function wholeMs(ttlMs) {
  if (!Number.isFinite(ttlMs) || ttlMs <= 0) return undefined;
  return Math.max(MIN_TTL_MS, Math.floor(ttlMs));
}

function fromKeyv(keyv) {
  if (!isCache(keyv)) throw invalid('fromKeyv: expected an instance of Keyv');
  if (isInMemory(keyv)) {
    throw invalid(
      'fromKeyv: this Keyv keeps its entries in memory, where other replicas cannot find the ' +
        'tokens; create it with an adapter for a server, such as @keyv/redis, @keyv/valkey or ' +
        '@keyv/memcache',
    );
  }
  tameKeyv(keyv);
  return storeOf(CALLS.keyv(keyv));
}

function fromNodeRedis(client) {
  if (!hasMethods(client, ['get', 'set', 'del']) || typeof client.status === 'string') {
    throw invalid('fromNodeRedis: expected a client of the package redis (node-redis)');
  }
  ignoreErrors(client);
  return storeOf(CALLS.nodeRedis(client));
}

function fromIoredis(client) {
  if (!hasMethods(client, ['get', 'set', 'del']) || typeof client.isOpen === 'boolean') {
    throw invalid('fromIoredis: expected a client of the package ioredis or iovalkey');
  }
  ignoreErrors(client);
  return storeOf(CALLS.ioredis(client));
}

const storeOf = (calls) => createStore(() => calls);

function fromBackstageCache(cache, id = DEFAULT_ID) {
  if (typeof id !== 'string' || id === '') throw invalid('id: expected a non-empty string');
  if (typeof cache === 'function') return remadeStore(cache, id);
  const { calls } = backstageCache(cache, id);
  return storeOf(calls);
}

/** Returns the calls of a CacheService or a CacheManager and, for a CacheManager, its client. */
function backstageCache(cache, id) {
  if (typeof cache?.forPlugin !== 'function') {
    if (isCache(cache)) return { calls: CALLS.cache(cache) };
    throw invalid(
      'fromBackstageCache: expected a CacheService, a CacheManager, or a function that returns one',
    );
  }
  // Backstage declares this property and this method as private, so a release may lack them.
  if (cache.store === 'memory') throw invalid(inMemory('fromBackstageCache'));
  const keyv = cache.getClientWithTtl?.(id);
  const client = tameKeyv(keyv);
  unrefClient(client);
  const service = openQuietly(keyv, () => cache.forPlugin(id));
  return { calls: CALLS.cache(service), client };
}

/** Creates a store that opens its cache on first use, and again on the first use after `remake`. */
function remadeStore(open, id) {
  let opened;
  let madeAtMs = -Infinity;
  const current = async () => {
    if (opened === undefined) {
      const opening = Promise.resolve(open()).then((cache) => backstageCache(cache, id));
      opened = opening;
      opening.catch(() => {
        // The next use tries again.
        if (opened === opening) opened = undefined;
      });
    }
    return (await opened).calls;
  };
  const remake = async () => {
    const old = await opened?.catch(ignore);
    if (old === undefined) return;
    // A client that the store cannot close may try to connect as long as the process runs.
    if (old.client === undefined && performance.now() < madeAtMs + REMAKE_INTERVAL_MS) {
      throw new Error('the store has just replaced its client');
    }
    madeAtMs = performance.now();
    opened = undefined;
    endClient(old.client);
  };
  return createStore(current, { remake });
}

const inMemory = (where) =>
  `${where}: this backend keeps its cache in memory, where other replicas cannot find the ` +
  'tokens; set backend.cache.store to redis, valkey or memcache';

const isCache = (value) => hasMethods(value, ['get', 'set', 'delete']);

function hasMethods(value, names) {
  return names.every((name) => typeof value?.[name] === 'function');
}

function invalid(message) {
  return new KeycloakTokenError({ code: 'ERR_KEYCLOAK_CONFIG', message, retryable: false });
}

module.exports = { fromBackstageCache, fromIoredis, fromKeyv, fromNodeRedis };
