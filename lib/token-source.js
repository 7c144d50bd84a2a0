'use strict';

// The JavaScript side of one token: the cached token, the callers that wait for it, and `fetch`. A
// manager is a token source, and so is each manager that is derived from it.

const { asObject, asString } = require('./access-token.js');
const { badRequest } = require('./error.js');
const { keepAlive } = require('./keep-alive.js');
const { lazily } = require('./lazily.js');
const resourceFetch = require('./resource-fetch.js');
const resourceHeaders = require('./resource-headers.js');
const source = require('./source-methods.js');
const { Waiters } = require('./waiters.js');
// `fetch` loads its modules on demand, but uses the timers as they are now.
require('./timers.js');

// These functions load modules on demand, because most managers never need these modules.
const callOptions = lazily(() => require('./call-options.js'));
const authenticatedFetch = lazily(() => require('./authenticated-fetch.js'));
const originOf = (resource) => authenticatedFetch().originOf(resource);
const callRequests = lazily(() => require('./call-request.js'));
const dpops = lazily(() => require('./dpop.js'));
const requestHeaders = lazily(() => require('./request-headers.js'));
const resourceManagers = lazily(() => require('./resource-manager.js'));

const NO_OPTIONS = Object.freeze({});
const runAtOnce = (step) => step();
// The empty map that all sources without a flight share. No code modifies it.
const NO_FLIGHTS = new Map();
// The memory of sources without a native side. No source has the version in this memory.
const UNPUBLISHED = Int32Array.of(1);
// The layout of a manager's memory: see `published.rs`.
const WORDS = 10;
const [HITS, JOINS, ISSUED_AT, EXPIRES_AT] = [1, 2, 3, 4];

let lastScope;

class TokenSource {
  // The manager's side of this source: see `family` in `manager.js`.
  #family;
  // The native side changes element `#word` of `#published` when this source may no longer serve
  // its token. Until then, a call only compares this element with `#version`. The elements of
  // `#numbers` from `#word / 2` on are described in `published.rs`.
  #published = UNPUBLISHED;
  #numbers;
  #word = 0;
  #version = 0;
  #promise;
  #scope;
  #isBound = false;
  // The promise that all calls without options share while they wait for the same flight.
  #pending;
  #flights = NO_FLIGHTS;
  // The parts that present the token to resource servers; `undefined` until a call needs them.
  #presentation;

  [source.attach](family) {
    this.#family = family;
  }

  get [source.family]() {
    return this.#family;
  }

  static is(value) {
    return typeof value === 'object' && value !== null && #published in value;
  }

  // `fetch` is a bound function, so that it works without the manager as `this`. The accessor
  // creates it on first use.
  get fetch() {
    if (!TokenSource.is(this)) return undefined;
    const fetch = (input, init) => this.#fetch(input, init);
    this.fetch = fetch;
    return fetch;
  }

  // An own property replaces the accessor. This also lets a test assign a double.
  set fetch(value) {
    Object.defineProperty(this, 'fetch', { value, configurable: true, writable: true });
  }

  // `options` is not a declared parameter: where V8 does not inline the call, omitting a declared
  // parameter costs a seventh of the call's time.
  getToken() {
    // The check is inline, because this is the most frequent call of the package.
    const isDetached = this === undefined || this === null || !(#published in this);
    if (isDetached) return callOptions().rejectDetached('getToken');
    // biome-ignore lint/complexity/noArguments: a rest parameter creates an array for every call.
    const options = arguments.length === 0 ? undefined : arguments[0];
    if (options === undefined) {
      if (this.#published[this.#word] === this.#version) {
        this.#numbers[this.#word / 2 + HITS]++;
        return this.#promise;
      }
      if (this.#pending !== undefined) {
        this.#numbers[this.#word / 2 + JOINS]++;
        return this.#pending;
      }
    }
    return this.#ask(options, asString);
  }

  getAccessToken(options) {
    if (!TokenSource.is(this)) return callOptions().rejectDetached('getAccessToken');
    return this.#ask(options, asObject);
  }

  getTokenForStreaming(minLifetimeMs) {
    if (!TokenSource.is(this)) return callOptions().rejectDetached('getTokenForStreaming');
    if (!callOptions().isDuration(minLifetimeMs)) {
      return Promise.reject(badRequest('minLifetimeMs: expected a non-negative number'));
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

  withResource(resource) {
    return resourceManagers().managerFor(this, resource);
  }

  snapshot() {
    return this.#call('snapshot');
  }

  for(request) {
    return this.#family.derive(request);
  }

  onBehalfOf(subjectToken, request) {
    return this.#family.exchange(subjectToken, request);
  }

  headers(options) {
    if (!TokenSource.is(this)) return callOptions().rejectDetached('headers');
    const resource = this.#family.resource();
    const isCurrent = () => originOf(this.#family.resource()) === originOf(resource);
    return this[resourceHeaders](resource, isCurrent, (again) => this.headers(again))(options);
  }

  dpopProof(options) {
    return dpops().dpopProof(this.#presenter(), options);
  }

  forgetSubject(subjectToken) {
    this.#family.forgetSubject(subjectToken);
  }

  #fetch(input, init) {
    const resource = this.#family.resource();
    const parts = this.#presenting();
    if (parts.fetch === undefined || parts.resource !== resource) {
      parts.resource = resource;
      parts.fetch = this[resourceFetch](
        resource,
        () => originOf(this.#family.resource()) === originOf(resource),
        this.fetch,
      );
    }
    return parts.fetch(input, init);
  }

  // `isCurrent` tells whether the tokens are still meant for the resource. If not, `again` repeats
  // each call that has not sent a request yet.
  [resourceFetch](resource, isCurrent = () => true, again = undefined) {
    const { Routes, makeFetch } = authenticatedFetch();
    const parts = this.#presenting();
    parts.routes ??= new Routes(
      (token, route) => this.#reject(token, route),
      (token, route) => this.#call('accept', token, route),
    );
    const server = () => this.#family.server();
    const dpop = () => this.#presenter();
    const { routes } = parts;
    const send = makeFetch({ manager: this, resource, server, routes, dpop, isCurrent, again });
    const { copyOf, requestOf } = callRequests();
    return (input, init) => {
      if (init === undefined) return send(input);
      try {
        const copy = copyOf(init);
        const request = copy && requestOf(copy);
        if (request === undefined) return send(input, copy);
        const { members, rest } = request;
        const repeat = (sameInput, sameRest) => again?.(sameInput, { ...sameRest, ...members });
        return this.#derivedFor(members)[resourceFetch](resource, isCurrent, repeat)(input, rest);
      } catch (error) {
        return Promise.reject(error);
      }
    };
  }

  // Returns the `headers` function for a resource.
  [resourceHeaders](resource, isCurrent = () => true, again = undefined) {
    const dpop = () => this.#presenter();
    const parts = { manager: this, resource, dpop, isCurrent, again };
    return (options) => requestHeaders().requestHeaders(options, parts);
  }

  // Returns `undefined` if no configuration has requested bound tokens.
  #presenter() {
    const state = this.#family.dpop();
    if (state === undefined) return undefined;
    const sign = (...request) => this.#call('dpopProof', ...request);
    const parts = this.#presenting();
    parts.dpop ??= new (dpops().Dpop)(state, sign);
    return parts.dpop;
  }

  // Returns the parts that calls have needed so far: the `fetch` for a resource, the routes of all
  // resources, and the presenter of bound tokens.
  #presenting() {
    this.#presentation ??= {
      fetch: undefined,
      resource: undefined,
      routes: undefined,
      dpop: undefined,
    };
    return this.#presentation;
  }

  // A present `onBehalfOf` counts even if it is `undefined`: a call without a user must never run
  // with the rights of the service.
  #derivedFor(members) {
    const { onBehalfOf, ...request } = members;
    return 'onBehalfOf' in members
      ? this.#family.exchange(onBehalfOf, request)
      : this.#family.derive(request);
  }

  // Returns `dropped`, `kept`, or `ignored` if the manager holds another token.
  #reject(token, route) {
    const outcome = this.#call('invalidate', token, route);
    if (outcome === 'dropped') this.#forget();
    this.#family.invalidated('rejected', outcome);
    return outcome;
  }

  // `hasWaited`: a forced call has already waited for an earlier request.
  #ask(options, shape, hasWaited = false) {
    const checked = options === undefined ? NO_OPTIONS : callOptions().checked(options);
    if ('fault' in checked) return Promise.reject(checked.fault);
    const { minValiditySeconds = 0, forceRefresh = false } = checked;
    if (
      this.#published[this.#word] === this.#version &&
      minValiditySeconds === 0 &&
      !forceRefresh
    ) {
      this.#numbers[this.#word / 2 + HITS]++;
      return shape === asString ? this.#promise : this.#described();
    }
    let outcome;
    const traceParent = this.#family.traceParent();
    try {
      outcome = this.#call('ask', minValiditySeconds, forceRefresh, hasWaited, traceParent);
    } catch (error) {
      return Promise.reject(error);
    }
    if (typeof outcome === 'number') return this.#wait(outcome, shape, checked);
    if (outcome.code !== undefined) return Promise.reject(this.#family.error(outcome));
    if (outcome.earlierFlight !== undefined) {
      const inContext = this.#family.context() ?? runAtOnce;
      const askAgain = () => inContext(() => this.#ask(options, shape, true));
      return this.#wait(outcome.earlierFlight, shape, checked, askAgain);
    }
    const isKept = this.#keep(outcome);
    return isKept && shape === asString ? this.#promise : Promise.resolve(shape(outcome));
  }

  #wait(flight, shape, options, askAgain) {
    let waiters = this.#flights.get(flight);
    if (waiters === undefined) {
      waiters = new Waiters(this.#family.context());
      if (this.#flights === NO_FLIGHTS) this.#flights = new Map();
      this.#flights.set(flight, waiters);
    }
    keepAlive(this, true);
    // Later calls can directly join only a call without options. A call with options may wait
    // although the manager holds a token that other callers get immediately.
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

  [source.connect](memory, index) {
    this.#published = memory.words;
    this.#numbers = memory.numbers;
    this.#word = index * WORDS;
  }

  [source.disconnect]() {
    this.#published = UNPUBLISHED;
    this.#numbers = undefined;
    this.#word = 0;
    this.#forget();
    this.#presentation?.routes?.clear();
  }

  [source.handle](event) {
    switch (event.type) {
      case 'Acquired':
        this.#keep(event.token);
        this.#land(event.flight)?.give(event.token);
        break;
      case 'Failed':
        this.#land(event.flight)?.fail(this.#family.error(event.failure), event.fallback);
        break;
      case 'AskAgain':
        this.#land(event.flight)?.again((options, shape) => this.#ask(options, shape));
        break;
      case 'FlightStarted':
        this.#family.started(event, this[source.contextOf](event));
        break;
      default:
        this[source.compare]();
    }
  }

  // The first call that waits for a flight has started it, unless the flight is a refresh.
  [source.contextOf]({ flight, cause, acquisition }) {
    const isRefresh = (cause ?? acquisition.cause) === 'refresh';
    return isRefresh ? undefined : this.#flights.get(flight)?.inContext;
  }

  [source.compare]() {
    if (this.#published[this.#word] !== this.#version) this.#letGo();
  }

  [source.forget]() {
    this.#forget();
  }

  [source.detach]() {
    this.#pending = undefined;
  }

  [source.end](failure) {
    this.#forget();
    // The routes remember tokens that they accepted.
    this.#presentation?.routes?.clear();
    const flights = [...this.#flights.values()];
    this.#flights = NO_FLIGHTS;
    keepAlive(this, false);
    for (const waiters of flights) waiters.fail(this.#family.error(failure));
  }

  get [source.isAwaited]() {
    return this.#flights !== NO_FLIGHTS;
  }

  get [source.hits]() {
    return this.#numbers?.[this.#word / 2 + HITS] ?? 0;
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

  // Keeps a token for later calls if the native side returned a version for it. Returns whether it
  // did.
  #keep({ version, token, isBound, scope, issuedAt, expiresAt }) {
    if (version === 0) return false;
    this.#version = version | 0;
    this.#promise = Promise.resolve(token);
    this.#isBound = isBound;
    // Most tokens of a process have the same scope, so they share one string.
    if (scope !== lastScope) lastScope = scope;
    this.#scope = lastScope;
    // If the times were fields of this object, each would need its own heap object.
    const first = this.#word / 2;
    this.#numbers[first + ISSUED_AT] = issuedAt;
    this.#numbers[first + EXPIRES_AT] = expiresAt;
    return true;
  }

  // Returns the cached token with its metadata.
  #described() {
    const first = this.#word / 2;
    const { [first + ISSUED_AT]: issuedAt, [first + EXPIRES_AT]: expiresAt } = this.#numbers;
    const [scope, isBound] = [this.#scope, this.#isBound];
    return this.#promise.then((token) => asObject({ token, isBound, scope, issuedAt, expiresAt }));
  }

  #letGo() {
    this.#version = 0;
    this.#promise = undefined;
    this.#scope = undefined;
  }

  // Also forgets the promise of the flight, because new callers must not join the flight.
  #forget() {
    this.#letGo();
    this.#pending = undefined;
  }

  #clear() {
    const outcome = this.#call('clear');
    if (outcome !== 'kept') this.#forget();
    if (outcome !== 'nothing') this.#family.invalidated('cleared', outcome);
    return outcome === 'dropped';
  }

  // The first call that needs the native side creates it.
  #call(method, ...args) {
    const id = this.#family.id ?? this.#family.open(this);
    return this.#family.call(method, id, ...args);
  }
}

module.exports = { TokenSource, originOf, source };
