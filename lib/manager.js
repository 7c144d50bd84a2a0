'use strict';

const { asObject, asString } = require('./access-token.js');
const { environment } = require('./environment.js');
const { KeycloakTokenError, badRequest, internal } = require('./error.js');
const { keepAlive } = require('./keep-alive.js');
const { open } = require('./open.js');
const reconfigure = require('./reconfigure.js');
const resourceFetch = require('./resource-fetch.js');
const resourceHeaders = require('./resource-headers.js');
const { Waiters } = require('./waiters.js');
// `fetch` loads its modules on demand, but uses the timers of this moment.
require('./timers.js');

// These functions load modules on demand, because most managers never need these modules.
const callOptions = () => require('./call-options.js');
const secretFunctions = () => require('./secret-function.js');
const tokenFetches = () => require('./token-fetch.js');
const roots = () => require('./roots.js');
const authenticatedFetch = () => require('./authenticated-fetch.js');
const originOf = (resource) => authenticatedFetch().originOf(resource);
const requestHeaders = () => require('./request-headers.js');
const dpops = () => require('./dpop.js');
const resourceManagers = () => require('./resource-manager.js');

const NO_OPTIONS = Object.freeze({});
// The empty map of all managers without a flight. No code modifies it.
const NO_FLIGHTS = new Map();

const deliver = Symbol('deliver');

class KeycloakTokenManager {
  #core;
  // The native side changes element 0 when this manager may no longer serve its token. Until then,
  // a call only compares this element with `#version`.
  #published;
  #counts;
  #version = 0;
  #token;
  #promise;
  // The promise that all calls without options share while they wait for the same flight.
  #pending;
  #flights = NO_FLIGHTS;
  #logger;
  #server;
  #resource;
  #resourceFetch;
  // Presents bound tokens; `undefined` if no configuration has requested any.
  #dpop;
  // The routes of all resources; `undefined` before the first `fetch`.
  #routes;
  #secretFunction;
  #secretCall;
  #secretError;
  #tokenFetch;
  // The requests in progress with `tokenFetch`.
  #requests = NO_FLIGHTS;
  #isClosed = false;
  // Runs the user's functions in the async context that created the manager.
  #inContext;

  constructor(options) {
    const core = open(options, weakListener(this));
    if (core.code !== undefined) throw new KeycloakTokenError(core);
    this.#core = core;
    const memory = core.memory();
    this.#published = new Int32Array(memory);
    this.#counts = new Float64Array(memory);
    this.#adopt(options);
    // `fetch` is an own, bound property, so that it works without the manager as `this`.
    const fetch = (input, init) => this.#fetch(input, init);
    Object.defineProperty(this, 'fetch', { value: fetch, configurable: true, writable: true });
    this[deliver]();
  }

  static #is(value) {
    return typeof value === 'object' && value !== null && #published in value;
  }

  // `options` is not a declared parameter: where V8 does not inline the call, omitting a declared
  // parameter costs a seventh of the call's time.
  getToken() {
    // The check is inline, because a call costs time in the most frequent call of the package.
    const isDetached = this === undefined || this === null || !(#published in this);
    if (isDetached) return callOptions().rejectDetached('getToken');
    // biome-ignore lint/complexity/noArguments: a rest parameter creates an array for every call.
    const options = arguments.length === 0 ? undefined : arguments[0];
    if (options === undefined) {
      if (this.#published[0] === this.#version) {
        this.#counts[1]++;
        return this.#promise;
      }
      if (this.#pending !== undefined) {
        this.#counts[2]++;
        return this.#pending;
      }
    }
    return this.#ask(options, asString);
  }

  getAccessToken(options) {
    if (!KeycloakTokenManager.#is(this)) return callOptions().rejectDetached('getAccessToken');
    return this.#ask(options, asObject);
  }

  getTokenForStreaming(minLifetimeMs) {
    if (!KeycloakTokenManager.#is(this))
      return callOptions().rejectDetached('getTokenForStreaming');
    if (!callOptions().isDuration(minLifetimeMs)) {
      return Promise.reject(badRequest('minLifetimeMs: expected a number of at least 0'));
    }
    return this.getToken({ minValiditySeconds: minLifetimeMs / 1000 });
  }

  invalidateToken(rejected, route = '') {
    if (rejected === undefined) return this.#clear();
    if (typeof rejected !== 'string') {
      throw badRequest('invalidateToken: expected the rejected token as a string');
    }
    if (typeof route !== 'string') {
      throw badRequest('invalidateToken: expected the route as a string');
    }
    return this.#reject(rejected, route) === 'dropped';
  }

  clearCache() {
    this.#clear();
  }

  dpopProof(options) {
    return dpops().dpopProof(this.#dpop, options);
  }

  headers(options) {
    if (!KeycloakTokenManager.#is(this)) return callOptions().rejectDetached('headers');
    const resource = this.#resource;
    const isCurrent = () => originOf(this.#resource) === originOf(resource);
    return this[resourceHeaders](resource, isCurrent, (again) => this.headers(again))(options);
  }

  withResource(resource) {
    return resourceManagers().managerFor(this, resource);
  }

  snapshot() {
    return this.#call('snapshot');
  }

  close() {
    if (!KeycloakTokenManager.#is(this)) return callOptions().rejectDetached('close');
    let failure;
    try {
      failure = this.#call('close');
    } catch (error) {
      return Promise.reject(error);
    }
    this.#isClosed = true;
    this.#forget();
    this.#logger = undefined;
    this.#secretFunction = undefined;
    this.#secretError = undefined;
    this.#tokenFetch = undefined;
    this.#inContext = undefined;
    this.#dpop?.close();
    for (const request of this.#requests.values()) request.abort();
    this.#requests = NO_FLIGHTS;
    // The routes remember tokens that they accepted.
    this.#routes?.clear();
    const flights = [...this.#flights.values()];
    this.#flights = NO_FLIGHTS;
    keepAlive(this, false);
    for (const waiters of flights) waiters.fail(this.#error(failure));
    return Promise.resolve();
  }

  [Symbol.asyncDispose]() {
    if (!KeycloakTokenManager.#is(this)) return callOptions().rejectDetached('close');
    return this.close();
  }

  // `dropsToken` says that the API of a view moves to another origin.
  [reconfigure](options, dropsToken = false) {
    const failure = this.#call('reconfigure', options, environment());
    if (failure !== null) throw new KeycloakTokenError(failure);
    const before = originOf(this.#resource);
    this.#adopt(options);
    // The manager must not send a token of the old configuration to another origin.
    if (dropsToken || originOf(this.#resource) !== before) {
      this.#call('dropToken');
      this.#forget();
    }
    // New callers must not join a flight of the old configuration without asking the native side.
    this.#pending = undefined;
    this[deliver]();
  }

  // Keeps the options that this side of the boundary uses.
  #adopt({ clientSecret, dpop, issuer, logger, resource, tokenEndpoint, tokenFetch }) {
    this.#logger = logger;
    this.#server = issuer ?? tokenEndpoint;
    this.#resource = resource === undefined ? undefined : { ...resource };
    this.#resourceFetch = undefined;
    if (dpop) this.#dpop ??= dpops().makeDpop((...request) => this.#call('dpopProof', ...request));
    this.#dpop?.request(dpop);
    this.#secretFunction = typeof clientSecret === 'function' ? clientSecret : undefined;
    this.#secretCall = undefined;
    this.#secretError = undefined;
    this.#tokenFetch = tokenFetch;
    if (this.#secretFunction !== undefined || tokenFetch !== undefined) {
      this.#inContext ??= require('node:async_hooks').AsyncLocalStorage.snapshot();
    }
  }

  #fetch(input, init) {
    const resource = this.#resource;
    const isCurrent = () => originOf(this.#resource) === originOf(resource);
    this.#resourceFetch ??= this[resourceFetch](resource, isCurrent, this.fetch);
    return this.#resourceFetch(input, init);
  }

  // `isCurrent` tells whether the manager's tokens are still meant for the resource. If not,
  // `again` makes each call that has not sent a request yet.
  [resourceFetch](resource, isCurrent = () => true, again = undefined) {
    const { Routes, makeFetch } = authenticatedFetch();
    this.#routes ??= new Routes(
      (token, route) => this.#reject(token, route),
      (token, route) => this.#call('accept', token, route),
    );
    const server = () => this.#server;
    const dpop = () => this.#dpop;
    const routes = this.#routes;
    return makeFetch({ manager: this, resource, server, routes, dpop, isCurrent, again });
  }

  // Returns a function like `headers` for a resource.
  [resourceHeaders](resource, isCurrent = () => true, again = undefined) {
    const parts = { manager: this, resource, dpop: () => this.#dpop, isCurrent, again };
    return (options) => requestHeaders().requestHeaders(options, parts);
  }

  // Returns `dropped`, `kept`, or `ignored` if the manager holds another token.
  #reject(token, route) {
    const outcome = this.#call('invalidate', token, route);
    if (outcome === 'dropped') this.#forget();
    return outcome;
  }

  // `hasWaited` says that a forced call has waited for an earlier request.
  #ask(options, shape, hasWaited = false) {
    const checked = options === undefined ? NO_OPTIONS : callOptions().checked(options);
    if ('fault' in checked) return Promise.reject(checked.fault);
    const { minValiditySeconds = 0, forceRefresh = false } = checked;
    if (this.#published[0] === this.#version && minValiditySeconds === 0 && !forceRefresh) {
      this.#counts[1]++;
      return Promise.resolve(shape(this.#token));
    }
    let outcome;
    try {
      outcome = this.#call('ask', minValiditySeconds, forceRefresh, hasWaited);
    } catch (error) {
      return Promise.reject(error);
    }
    if (typeof outcome === 'number') return this.#wait(outcome, shape, checked);
    if (outcome.code !== undefined) return Promise.reject(this.#error(outcome));
    if (outcome.earlierFlight !== undefined) {
      const askAgain = () => this.#ask(options, shape, true);
      return this.#wait(outcome.earlierFlight, shape, checked, askAgain);
    }
    this.#keep(outcome);
    return outcome === this.#token && shape === asString
      ? this.#promise
      : Promise.resolve(shape(outcome));
  }

  #wait(flight, shape, options, askAgain) {
    let waiters = this.#flights.get(flight);
    if (waiters === undefined) {
      waiters = new Waiters();
      if (this.#flights === NO_FLIGHTS) this.#flights = new Map();
      this.#flights.set(flight, waiters);
    }
    keepAlive(this, true);
    // Later calls can directly join only a call without options: a call with options may wait while
    // the manager holds a token that other callers still get immediately.
    if (options === NO_OPTIONS && shape === asString) {
      this.#pending = waiters.shared();
      return this.#pending;
    }
    return waiters.add(shape, options, () => this.#releaseIfAlone(), askAgain);
  }

  // A flight continues after all its callers have left, but does not keep the process alive.
  #releaseIfAlone() {
    for (const waiters of this.#flights.values()) if (!waiters.isEmpty) return;
    keepAlive(this, false);
  }

  [deliver]() {
    for (const event of this.#call('drain')) {
      // A logger may have closed the manager.
      if (this.#isClosed) return;
      this.#handle(event);
    }
    if (this.#published[0] !== this.#version) this.#letGo();
  }

  #handle(event) {
    switch (event.type) {
      case 'Acquired':
        this.#keep(event.token);
        this.#land(event.flight)?.give(event.token);
        break;
      case 'Failed':
        this.#land(event.flight)?.fail(this.#error(event.failure), event.fallback);
        break;
      case 'AskAgain':
        this.#land(event.flight)?.again((options, shape) => this.#ask(options, shape));
        break;
      case 'SecretWanted':
        this.#callSecret(event.call);
        break;
      case 'RootsWanted':
        roots().handOverRoots();
        break;
      case 'RequestWanted':
        this.#send(event);
        break;
      case 'RequestAbandoned':
        this.#requests.get(event.request)?.abort();
        break;
      default:
        this.#log(event);
    }
  }

  // Removes and returns the waiters of a flight that has ended; `undefined` if no call waited.
  #land(flight) {
    const waiters = this.#flights.get(flight);
    if (waiters === undefined) return undefined;
    this.#flights.delete(flight);
    if (this.#flights.size === 0) this.#flights = NO_FLIGHTS;
    if (waiters.isShared(this.#pending)) this.#pending = undefined;
    this.#releaseIfAlone();
    return waiters;
  }

  // Keeps a token for later calls if the native side returned a version for it.
  #keep(token) {
    if (token.version === 0) return;
    this.#version = token.version | 0;
    this.#token = token;
    this.#promise = Promise.resolve(token.token);
  }

  #letGo() {
    this.#version = 0;
    this.#token = undefined;
    this.#promise = undefined;
  }

  // Also forgets the promise of the flight, because new callers must not join the flight.
  #forget() {
    this.#letGo();
    this.#pending = undefined;
  }

  #clear() {
    const outcome = this.#call('clear');
    if (outcome !== 'kept') this.#forget();
    return outcome === 'dropped';
  }

  #error(failure) {
    const cause = failure.code === 'ERR_KEYCLOAK_CREDENTIAL' ? this.#secretError : undefined;
    return new KeycloakTokenError(failure, cause);
  }

  #call(method, ...args) {
    try {
      return this.#core[method](...args);
    } catch (cause) {
      throw internal(cause);
    }
  }

  #log({ level, message }) {
    try {
      // An asynchronous logger may reject later.
      Promise.resolve(this.#logger?.[level](message)).catch(() => {});
    } catch {
      // A logger that throws must not prevent a caller from getting a token.
    }
  }

  async #callSecret(call) {
    this.#secretCall = call;
    this.#secretError = undefined;
    const { callSecretFunction } = secretFunctions();
    const answer = await this.#inContext(callSecretFunction, this.#secretFunction);
    // The native side ignores a late result, so its error does not count either.
    if (call === this.#secretCall) this.#secretError = answer.error;
    this.#core.answerSecret(call, answer.secret, answer.fault);
  }

  async #send(event) {
    const id = event.request;
    const controller = new AbortController();
    if (this.#requests === NO_FLIGHTS) this.#requests = new Map();
    this.#requests.set(id, controller);
    const { sendRequest } = tokenFetches();
    const outcome = await this.#inContext(sendRequest, this.#tokenFetch, event, controller.signal);
    this.#requests.delete(id);
    if (outcome !== undefined) this.#core.endRequest(id, outcome);
  }
}

// The native side holds this listener, which must not keep the manager alive.
function weakListener(manager) {
  const reference = new WeakRef(manager);
  return () => reference.deref()?.[deliver]();
}

module.exports = { KeycloakTokenManager };
