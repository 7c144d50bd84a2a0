/**
 * A view of a manager that other plugins use as well. The view has its own API, name and logger,
 * and `close()` ends the view without closing the manager for the other plugins.
 */
'use strict';

const resourceFetch = require('../resource-fetch.js');
const resourceHeaders = require('../resource-headers.js');
const { copyOf } = require('../resource-copy.js');

/** The methods of a manager that a view passes on. */
const SHARED_METHODS = [
  'getAccessToken',
  'getTokenForStreaming',
  'invalidateToken',
  'clearCache',
  'dpopProof',
];

class View {
  isClosed = false;
  /** The entry whose manager is in use. `entry` replaces it once its manager has a token. */
  inUse;
  manager;
  #fetch;
  /** The manager and the resource of `#fetch`. */
  #madeFor = {};

  /**
   * @param {object} entry of the registry
   * @param {object} own the options `resource`, `name` and `logger`
   */
  constructor(entry, own) {
    this.entry = entry;
    this.own = own;
    this.use(entry);
  }

  use(entry) {
    this.inUse = entry;
    this.manager = entry.manager;
  }

  /** Whether the resource moves the API to another origin. */
  movesTo(resource) {
    return originOf(resource) !== originOf(this.own.resource);
  }

  /** Returns the object that the user of the view receives. */
  methods({ update, close }) {
    const methods = { update, close, [Symbol.asyncDispose]: close };
    for (const name of SHARED_METHODS) {
      methods[name] = (...args) => this.manager[name](...args);
    }
    methods.getToken = (options) =>
      options === undefined ? this.manager.getToken() : this.manager.getToken(options);
    methods.fetch = (input, init) => this.#send(input, init);
    methods.headers = (options) => this.#headers(options);
    methods.snapshot = () => ({ ...this.manager.snapshot(), name: this.own.name });
    methods.withResource = (resource) => this.#withResource(resource, methods);
    return Object.freeze(methods);
  }

  #send(input, init) {
    const { manager, own } = this;
    const { resource } = own;
    // Without a resource, `manager.fetch` rejects with an error that names the missing option.
    if (resource === undefined) return manager.fetch(input, init);
    if (this.#madeFor.manager !== manager || this.#madeFor.resource !== resource) {
      this.#madeFor = { manager, resource };
      this.#fetch = manager[resourceFetch](
        resource,
        () => !this.movesTo(resource),
        (...args) => this.#send(...args),
      );
    }
    return this.#fetch(input, init);
  }

  #headers(options) {
    const { resource } = this.own;
    const headers = this.manager[resourceHeaders](
      resource,
      () => !this.movesTo(resource),
      (again) => this.#headers(again),
    );
    return headers(options);
  }

  #withResource(given, methods) {
    const resource = copyOf(given);
    let { manager } = this;
    let derived = manager.withResource(resource);
    const current = () => {
      if (manager !== this.manager) {
        manager = this.manager;
        derived = manager.withResource(resource);
      }
      return derived;
    };
    const { update, close, [Symbol.asyncDispose]: dispose, ...shared } = methods;
    const fetch = async (input, init) => current().fetch(input, init);
    const headers = async (options) => current().headers(options);
    return Object.freeze({ ...shared, fetch, headers });
  }
}

function originOf(resource) {
  return resource === undefined ? undefined : new URL(resource.baseUrl).origin;
}

module.exports = { View };
