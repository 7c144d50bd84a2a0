/**
 * The shared store of a section with `sharedCache: true`: the cache that `backend.cache` in the
 * same configuration describes. Equal cache settings yield the same store, so that all managers of
 * a backend use one connection. Backstage has no root-scoped cache service, so the store creates
 * its own CacheManager.
 */
'use strict';

const { createRequire } = require('node:module');
const { fromBackstageCache } = require('../store/index.js');
const { fingerprints } = require('./fingerprint.js');

const SETTINGS = 'backend.cache';
const MODULE = '@backstage/backend-defaults/cache';
const WITHOUT =
  'sharedCache: this backend keeps its cache in memory, where other replicas cannot find the ' +
  `tokens; set ${SETTINGS}.store to redis, valkey or memcache, or remove sharedCache`;

const print = fingerprints();
const stores = new Map();

/**
 * Returns the store for a configuration. The store opens its connection on first use.
 *
 * @throws {Error} with a text for the operator, if the backend has no cache that replicas share
 */
function sharedStore(config) {
  const settings = config.getOptional(SETTINGS);
  if ((settings?.store ?? 'memory') === 'memory') throw new Error(WITHOUT);
  const key = print(settings);
  if (!stores.has(key)) {
    const { CacheManager } = loadCaches();
    // The caches get no logger, because a client would log every attempt to connect, and the
    // manager already logs each outage.
    const open = () => CacheManager.fromConfig(config);
    // `fromConfig` reads the settings and does not connect.
    open();
    stores.set(key, fromBackstageCache(open));
  }
  return stores.get(key);
}

/** Loads the package from the plugin or, if a package manager hides it there, from the backend. */
function loadCaches() {
  const places = [require, createRequire(require.main?.filename ?? __filename)];
  for (const from of places) {
    try {
      return from(MODULE);
    } catch (error) {
      if (error.code !== 'MODULE_NOT_FOUND') throw error;
    }
  }
  throw new Error(`sharedCache: ${MODULE} is not installed; install @backstage/backend-defaults`);
}

module.exports = { sharedStore };
