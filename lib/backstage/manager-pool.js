/**
 * A pool of managers. It finds a manager by its name in a section of the configuration or, for
 * clients that the code does not know in advance, by its options. `idle-policy.js` decides which
 * managers the pool closes. A plugin can still use a manager that the pool has closed: the next
 * call opens it again.
 */
'use strict';

const { configError, invalid, list } = require('./config.js');
const { ConfiguredManager } = require('./configured-manager.js');
const { DERIVING, derivation } = require('./derivation.js');
const { fingerprints } = require('./fingerprint.js');
const { toClose } = require('./idle-policy.js');
const { registry } = require('./registry.js');
const { sectionSource } = require('./source.js');

/** The number of times that the pool looks for idle managers during one idle timeout. */
const SWEEPS = 4;
/** The methods that return a promise. The manager must stay open until the promise settles. */
const CALLS = ['getToken', 'getAccessToken', 'getTokenForStreaming', 'fetch', 'headers'];
const OTHERS = ['invalidateToken', 'clearCache', 'dpopProof', 'snapshot', 'forgetSubject'];

class ManagerPool {
  /** The open managers, and the closed managers to which plugins refer. */
  #entries = new Map();
  #size = 0;
  #uses = 0;
  /**
   * The promises that the pool awaits. The set avoids duplicates, because a manager returns the
   * same promise for many cached reads.
   */
  #awaited = new WeakSet();
  #print = fingerprints();
  #parts;
  #timer;
  #isClosed = false;

  /**
   * @param {object} parts
   * @param {string} parts.configKey the section of the named clients
   * @param {import('@backstage/backend-plugin-api').RootConfigService} parts.config
   * @param {import('@backstage/backend-plugin-api').LoggerService} parts.logger
   * @param {{ idleTimeoutMs: number, maximum: number }} parts.limits
   */
  constructor(parts) {
    this.#parts = parts;
  }

  /** The number of open managers. */
  get size() {
    return this.#size;
  }

  /** @throws {KeycloakTokenError} `ERR_KEYCLOAK_CONFIG` */
  get(pluginId, name) {
    const { config, configKey, logger } = this.#parts;
    const open = () => {
      this.#checkName(name);
      const source = sectionSource(`${configKey}.${name}`);
      const configured = new ConfiguredManager({ source, config, logger });
      return { manager: configured.view, close: () => configured.close() };
    };
    return this.#handleOf(pluginId, keyOf(name), open);
  }

  /** @throws {KeycloakTokenError} `ERR_KEYCLOAK_CONFIG` */
  getFor(pluginId, options) {
    const own = this.#withLogger(options);
    const open = () => {
      const manager = registry().open(own);
      return { manager, close: () => manager.close() };
    };
    return this.#handleOf(pluginId, this.#print(own), open);
  }

  /** Ends a manager. Returns whether the pool had such a manager. */
  async close(nameOrOptions) {
    const key =
      typeof nameOrOptions === 'string'
        ? keyOf(nameOrOptions)
        : this.#print(this.#withLogger(nameOrOptions));
    const entry = this.#entries.get(key);
    if (entry === undefined) return false;
    await this.#end(entry);
    return true;
  }

  async closeAll() {
    this.#isClosed = true;
    await Promise.all([...this.#entries.values()].map((entry) => this.#end(entry)));
  }

  #withLogger(options) {
    const { logger = this.#parts.logger, ...others } = { ...options };
    return { ...others, logger };
  }

  #checkName(name) {
    if (typeof name !== 'string') throw invalid('name: expected a string');
    const { config, configKey } = this.#parts;
    const names = config.getOptionalConfig(configKey)?.keys() ?? [];
    if (names.includes(name)) return;
    const known = names.length > 0 ? `; the clients are ${list(names)}` : '';
    throw configError(configKey, `the section has no client ${JSON.stringify(name)}${known}`);
  }

  #handleOf(pluginId, key, open) {
    let entry = this.#entries.get(key);
    if (entry === undefined) {
      entry = { key, open, isEnded: false, handles: new Map() };
      Object.assign(entry, { order: 0, seenOrder: 0, usedAtMs: 0, pending: 0 });
    }
    this.#opened(entry);
    const handle = entry.handles.get(pluginId)?.deref() ?? this.#makeHandle(pluginId, entry);
    refer(entry, handle);
    this.#trim();
    return handle;
  }

  #makeHandle(pluginId, first) {
    let entry = first;
    const current = () => {
      entry = this.#currentOf(entry);
      return entry;
    };
    const close = () => {
      current().handles.delete(pluginId);
      return Promise.resolve();
    };
    const handle = { pluginId, close, [Symbol.asyncDispose]: close };
    const methods = this.#methods(current, handle, ({ manager }) => manager);
    return Object.freeze(Object.assign(handle, methods));
  }

  /**
   * Returns the pool's current entry for this entry's key. The pool forgets a closed entry that no
   * plugin refers to, and may have created another one by the time a plugin uses an old handle
   * again.
   */
  #currentOf(entry) {
    return entry.isEnded ? entry : (this.#entries.get(entry.key) ?? entry);
  }

  /**
   * Returns the methods of the manager that `targetOf` finds. Each method keeps the handle alive.
   */
  #methods(current, handle, targetOf) {
    const call = (entry, name, args) => {
      refer(entry, handle);
      entry.order = ++this.#uses;
      entry.pending += 1;
      try {
        const opened = this.#opened(entry);
        this.#trim();
        return targetOf(opened)[name](...args);
      } finally {
        entry.pending -= 1;
      }
    };
    const asPromise = (name, args) => {
      const entry = current();
      try {
        const promise = call(entry, name, args);
        this.#await(entry, promise);
        return promise;
      } catch (error) {
        return Promise.reject(error);
      }
    };
    const methodOf = (name) =>
      CALLS.includes(name)
        ? (...args) => asPromise(name, args)
        : (...args) => call(current(), name, args);
    const methods = Object.fromEntries([...CALLS, ...OTHERS].map((name) => [name, methodOf(name)]));
    for (const name of DERIVING) {
      methods[name] = (...args) => {
        const derive = derivation(targetOf, name, args);
        derive(this.#opened(current()));
        return Object.freeze(this.#methods(current, handle, derive));
      };
    }
    return methods;
  }

  #await(entry, promise) {
    if (this.#awaited.has(promise)) return;
    this.#awaited.add(promise);
    entry.pending += 1;
    const done = () => {
      entry.pending -= 1;
      this.#trim();
    };
    promise.then(done, done);
  }

  /** Returns an entry's manager, which is open unless the entry or the pool has ended. */
  #opened(entry) {
    if (entry.opened !== undefined) return entry.opened;
    entry.opened = entry.open();
    if (this.#isClosed || entry.isEnded) {
      entry.opened.close();
      return entry.opened;
    }
    entry.usedAtMs = performance.now();
    entry.order = ++this.#uses;
    this.#entries.set(entry.key, entry);
    this.#size += 1;
    const intervalMs = this.#parts.limits.idleTimeoutMs / SWEEPS;
    this.#timer ??= setInterval(() => this.#sweep(), intervalMs).unref();
    return entry.opened;
  }

  /** Closes managers if too many are open. */
  #trim() {
    if (this.#size > this.#parts.limits.maximum) this.#sweep();
  }

  #sweep() {
    const nowMs = performance.now();
    const open = [];
    for (const entry of this.#entries.values()) {
      if (entry.order !== entry.seenOrder) entry.usedAtMs = nowMs;
      entry.seenOrder = entry.order;
      if (entry.opened !== undefined) open.push(entry);
      else if (!isReferenced(entry)) this.#entries.delete(entry.key);
    }
    open.sort((first, second) => first.order - second.order);
    const facts = open.map((entry) => ({
      key: entry,
      usedAtMs: entry.usedAtMs,
      isReferenced: isReferenced(entry),
      isBusy: entry.pending > 0,
    }));
    for (const entry of toClose(facts, nowMs, this.#parts.limits)) this.#suspend(entry);
    this.#stopWhenEmpty();
  }

  /** Closes a manager. A plugin that still refers to the manager reopens it with its next call. */
  #suspend(entry) {
    entry.opened.close();
    entry.opened = undefined;
    this.#size -= 1;
    if (!isReferenced(entry)) this.#entries.delete(entry.key);
  }

  /** Closes a manager permanently. */
  async #end(entry) {
    entry.isEnded = true;
    this.#entries.delete(entry.key);
    this.#stopWhenEmpty();
    if (entry.opened === undefined) return;
    this.#size -= 1;
    await entry.opened.close();
  }

  #stopWhenEmpty() {
    if (this.#entries.size > 0) return;
    clearInterval(this.#timer);
    this.#timer = undefined;
  }
}

const keyOf = (name) => `name:${name}`;

/** Records that a plugin holds the handle, until the plugin drops the handle or calls `close`. */
function refer({ handles }, handle) {
  if (handles.get(handle.pluginId)?.deref() !== handle) {
    handles.set(handle.pluginId, new WeakRef(handle));
  }
}

function isReferenced({ handles }) {
  return [...handles.values()].some((handle) => handle.deref() !== undefined);
}

module.exports = { ManagerPool };
