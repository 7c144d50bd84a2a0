/**
 * The managers of this thread, which all copies of the package in the thread share. In Red Hat
 * Developer Hub, every exported plugin has its own copy. The copies find each other by a symbol
 * that contains their version, and use the registry of the copy that the thread loaded first. They
 * use only `open`, the methods of the views that `open` returns, and `sharedStore`.
 *
 * Two views share a manager if all their options are equal, except for `telemetry` and the options
 * that belong to the view. The manager has `telemetry` if one of its views has it. To obtain a
 * manager from the registry, a caller needs the manager's complete options; the registry does not
 * list managers.
 */
'use strict';

const { setTimeout: delay } = require('node:timers/promises');
const { KeycloakTokenManager } = require('../../index.js');
const { version } = require('../../package.json');
const { openTelemetryApi } = require('../opentelemetry-api.js');
const reconfigure = require('../reconfigure.js');
const { invalid } = require('./config.js');
const { fingerprints } = require('./fingerprint.js');
const { sharedStore } = require('./shared-cache.js');
const { View } = require('./view.js');

// Before 1.0.0, a minor version may break the public interface.
const [COMPATIBLE] = /^(0\.\d+|\d+)/.exec(version);
const REGISTRY = Symbol.for(`keycloak-token-manager.registry.${COMPATIBLE}`);
const LEVELS = ['error', 'warn', 'info', 'debug'];
const SILENT = Object.fromEntries(LEVELS.map((level) => [level, () => {}]));
/** The delay before a changed view asks its new manager for a token again. */
const RETRY_MS = 1_000;
/** The default of `requestTimeoutMs`. */
const LONGEST_WAIT_MS = 15_000;

class Registry {
  #entries = new Map();
  #print = fingerprints();
  /** The changes that arrived in this turn of the event loop. */
  #changes = [];

  /**
   * Opens a view of the manager with these options. The manager has the name of the first view, and
   * writes log lines to the logger of the oldest view that has a logger.
   *
   * @returns the methods of a manager, and `update(options)`, whose promise rejects if the options
   *   are invalid. `close()` also closes the manager if this is its last view.
   * @throws {KeycloakTokenError} `ERR_KEYCLOAK_CONFIG`
   */
  open(options) {
    const { shared, own } = split(options);
    const print = this.#print(shared);
    check(options);
    const view = new View(this.#entries.get(print) ?? this.#add(print, options), own);
    view.entry.views.add(view);
    adjustTelemetry(view.entry);
    return view.methods({
      update: (changed) => this.#change(view, changed),
      close: () => this.#close(view),
    });
  }

  #add(print, options) {
    const views = new Set();
    const manager = new KeycloakTokenManager(shareable(options, views));
    const entry = { print, manager, views, longestWaitMs: longestWait(options) };
    this.#entries.set(print, entry);
    return entry;
  }

  /** Removes a view. Returns whether it was the manager's last view. */
  #leave(view, entry) {
    entry.views.delete(view);
    if (entry.views.size > 0) {
      adjustTelemetry(entry);
      return false;
    }
    if (this.#entries.get(entry.print) === entry) this.#entries.delete(entry.print);
    return true;
  }

  async #close(view) {
    if (view.isClosed) return;
    view.isClosed = true;
    const isLast = this.#leave(view, view.entry);
    if (view.inUse !== view.entry && this.#leave(view, view.inUse)) view.manager.close();
    view.manager = isLast ? view.entry.manager : standIn(view.own.name);
    await view.manager.close();
  }

  #change(view, options) {
    return new Promise((resolve, reject) => {
      const { shared, own } = split(options);
      this.#changes.push({ view, options, own, print: this.#print(shared), resolve, reject });
      if (this.#changes.length === 1) queueMicrotask(() => this.#applyChanges());
    });
  }

  // An edit of the configuration reaches all copies in one turn. The registry applies their changes
  // together, so that a manager whose views all change in the same way keeps its token.
  #applyChanges() {
    const groups = new Map();
    for (const change of this.#changes.splice(0)) {
      if (change.view.isClosed) {
        change.resolve();
        continue;
      }
      const ofEntry = groups.get(change.view.entry) ?? new Map();
      groups.set(change.view.entry, ofEntry);
      ofEntry.set(change.print, [...(ofEntry.get(change.print) ?? []), change]);
    }
    for (const [entry, ofEntry] of groups) {
      for (const [print, group] of ofEntry) this.#applyGroup(entry, print, group);
    }
  }

  #applyGroup(entry, print, group) {
    try {
      for (const { options } of group) check(options);
      const [{ options }] = group;
      const found = this.#entries.get(print);
      const moves = group.filter(({ view, own }) => view.movesTo(own.resource));
      const canStay = found === entry || (found === undefined && group.length === entry.views.size);
      if (!canStay) {
        const joined = found ?? this.#add(print, options);
        for (const change of group) this.#move(change.view, joined, moves.includes(change));
      } else if (found !== entry || moves.length > 0) {
        // The manager must not send a token of the earlier configuration to another origin.
        entry.manager[reconfigure](shareable(options, entry.views), moves.length > 0);
        this.#entries.delete(entry.print);
        Object.assign(entry, { print, longestWaitMs: longestWait(options) });
        this.#entries.set(print, entry);
      }
      for (const { view, own, resolve } of group) {
        view.own = own;
        for (const used of new Set([view.entry, view.inUse])) adjustTelemetry(used);
        resolve();
      }
    } catch (error) {
      for (const { reject } of group) reject(error);
    }
  }

  // The view keeps its manager until the other manager has a token.
  async #move(view, joined, isOtherOrigin) {
    const { entry, inUse } = view;
    view.entry = joined;
    joined.views.add(view);
    // The view was still waiting for the previous change's manager, and has never used it.
    if (entry !== inUse && entry !== joined) this.#retire(view, entry);
    if (!isOtherOrigin) await this.#awaitToken(view, joined);
    // The view may have moved on in the meantime.
    if (view.entry !== joined || view.inUse === joined || view.isClosed) return;
    view.use(joined);
    this.#retire(view, inUse);
  }

  // Returns when the manager of `joined` has a token, when the current manager's token has expired,
  // or when the view has changed again or closed.
  async #awaitToken(view, joined) {
    const { inUse } = view;
    const secondsLeft = () => inUse.manager.snapshot().secondsToHardExpiry ?? 0;
    // The wait ends with the current token, even if other views make the manager refresh it.
    const endMs = performance.now() + secondsLeft() * 1000;
    const isWaiting = () => view.entry === joined && view.inUse === inUse && !view.isClosed;
    while (joined !== inUse && isWaiting()) {
      const leftMs = Math.min(secondsLeft() * 1000, endMs - performance.now());
      if (leftMs <= 0 || (await obtainsToken(joined.manager))) return;
      await delay(Math.min(RETRY_MS, leftMs), undefined, { ref: false });
    }
  }

  /** Removes a view, and closes the manager if this was its last view. */
  #retire(view, entry) {
    if (!this.#leave(view, entry)) return;
    // Calls that began earlier may still be waiting for a token from this manager.
    setTimeout(() => entry.manager.close(), entry.longestWaitMs).unref();
  }
}

function obtainsToken(manager) {
  return manager.getToken().then(
    () => true,
    () => false,
  );
}

/** Returns how long a call may wait for a token, in milliseconds. */
function longestWait({ requestTimeoutMs = LONGEST_WAIT_MS }) {
  return requestTimeoutMs;
}

/** Separates a view's own options from the options that decide what the manager sends. */
function split({ resource, name, logger, telemetry, ...shared }) {
  const label = name ?? shared.clientId;
  const copy = resource === undefined ? undefined : { ...resource };
  return { shared, own: { resource: copy, name: label, logger, telemetry } };
}

/**
 * Makes the manager of an entry report to OpenTelemetry as long as one of its views has
 * `telemetry`.
 */
function adjustTelemetry(entry) {
  const isWanted = [...entry.views].some(({ own }) => own.telemetry);
  if (isWanted) {
    entry.endTelemetry ??= require('../opentelemetry/index.js').instrument(entry.manager);
  } else {
    entry.endTelemetry?.();
    entry.endTelemetry = undefined;
  }
}

/** @throws {KeycloakTokenError} `ERR_KEYCLOAK_CONFIG`, as the constructor of a manager does */
function check({ telemetry = false, ...options }) {
  const logger = isLogger(options.logger) ? SILENT : options.logger;
  new KeycloakTokenManager({ ...options, logger }).close();
  if (typeof telemetry !== 'boolean') throw invalid('telemetry: expected a boolean');
  if (telemetry) openTelemetryApi('telemetry: true');
}

function isLogger(logger) {
  return LEVELS.every((level) => typeof logger?.[level] === 'function');
}

/** Returns a shared manager's options: no resource, and a logger that relays to a view's logger. */
function shareable({ logger: given, telemetry: _ofTheView, ...options }, views) {
  const receiver = () => [...views].find(({ own }) => own.logger !== undefined)?.own.logger;
  const relays = LEVELS.map((level) => [
    level,
    // The manager logs warnings about the options before the first view exists.
    (message) => (receiver() ?? given)?.[level](message),
  ]);
  return { ...options, resource: undefined, logger: Object.fromEntries(relays) };
}

/** Creates a substitute for a closed view's manager, which other views still use. */
function standIn(name) {
  const tokenEndpoint = 'http://localhost/';
  return new KeycloakTokenManager({ tokenEndpoint, clientId: name, clientSecret: name });
}

/** Returns the registry of this thread. */
function registry() {
  if (globalThis[REGISTRY] === undefined) {
    const own = new Registry();
    const value = Object.freeze({ open: (options) => own.open(options), sharedStore });
    Object.defineProperty(globalThis, REGISTRY, { value });
  }
  return globalThis[REGISTRY];
}

module.exports = { registry };
