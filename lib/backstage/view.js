/**
 * A view of a manager that other plugins use as well. The view has its own API, name and logger,
 * and `close()` ends the view without closing the manager for the other plugins.
 */
'use strict';

const resourceFetch = require('../resource-fetch.js');
const resourceHeaders = require('../resource-headers.js');
const { copyOf } = require('../resource-copy.js');
const { derivation } = require('./derivation.js');

/** The methods of a manager that a view passes on. */
const SHARED_METHODS = [
  'getAccessToken',
  'getTokenForStreaming',
  'invalidateToken',
  'clearCache',
  'dpopProof',
  'forgetSubject',
];

class View {
  isClosed = false;
  /**
   * The entry whose manager the view uses. After a change, `entry` is the entry that replaces this
   * one once its manager has a token.
   */
  inUse;
  manager;

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

  /** Whether the resource has a different origin from the view's current resource. */
  movesTo(resource) {
    return originOf(resource) !== originOf(this.own.resource);
  }

  /** Returns the object that the user of the view receives. */
  methods({ update, close }) {
    const methods = this.#methodsOf((manager) => manager);
    return Object.freeze({ ...methods, update, close, [Symbol.asyncDispose]: close });
  }

  /**
   * Returns the methods of a manager for one API.
   *
   * @param {(manager: object) => object} targetOf returns the manager in use, or a manager that is
   * derived from it
   * @param {object} [fixed] the API; by default, the API of the view
   */
  #methodsOf(targetOf, fixed) {
    const current = () => targetOf(this.manager);
    const resourceOf = () => fixed ?? this.own.resource;
    const methods = {};
    for (const name of SHARED_METHODS) methods[name] = (...args) => current()[name](...args);
    methods.getToken = (options) =>
      options === undefined ? current().getToken() : current().getToken(options);
    methods.snapshot = () => ({ ...current().snapshot(), name: this.own.name });
    // A call that began with an earlier API starts again.
    const isCurrent = (resource) => () => originOf(resource) === originOf(resourceOf());
    let made = {};
    methods.fetch = (input, init) => {
      const [target, resource] = [current(), resourceOf()];
      // Without a resource, `fetch` rejects with an error that names the missing option.
      if (resource === undefined) return target.fetch(input, init);
      if (made.target !== target || made.resource !== resource) {
        const fetch = target[resourceFetch](resource, isCurrent(resource), methods.fetch);
        made = { target, resource, fetch };
      }
      return made.fetch(input, init);
    };
    methods.headers = (options) => {
      const resource = resourceOf();
      return current()[resourceHeaders](resource, isCurrent(resource), methods.headers)(options);
    };
    methods.withResource = (resource) => this.#derived(targetOf, copyOf(resource));
    methods.for = (request) => this.#request(targetOf, fixed, 'for', request);
    methods.onBehalfOf = (subjectToken, request) =>
      this.#request(targetOf, fixed, 'onBehalfOf', request, subjectToken);
    return methods;
  }

  /** @throws {KeycloakTokenError} `ERR_KEYCLOAK_CONFIG` if the resource is invalid */
  #derived(targetOf, resource) {
    targetOf(this.manager).withResource(resource);
    return Object.freeze(this.#methodsOf(targetOf, resource));
  }

  /** Derives a manager. The view itself applies a `resource` in the request. */
  #request(targetOf, fixed, name, given, ...subject) {
    const request = copyOf(given, 'request');
    const resource = request?.resource;
    if (resource !== undefined) request.resource = undefined;
    const derive = derivation(targetOf, name, [...subject, request]);
    derive(this.manager);
    return resource === undefined
      ? Object.freeze(this.#methodsOf(derive, fixed))
      : this.#derived(derive, copyOf(resource));
  }
}

function originOf(resource) {
  return resource === undefined ? undefined : new URL(resource.baseUrl).origin;
}

module.exports = { View };
