'use strict';

const { environment } = require('./environment.js');
const { KeycloakTokenError, badRequest, internal } = require('./error.js');
const { keepAlive } = require('./keep-alive.js');
const { lazily } = require('./lazily.js');
const observe = require('./observe.js');
const {
  Observer,
  messageOrigin,
  observesEnds,
  observesStarts,
  publishInvalidation,
  publishStoreCall,
} = require('./observer.js');
const { open } = require('./open.js');
const reconfigure = require('./reconfigure.js');
const { TokenSource, originOf, source } = require('./token-source.js');

// These functions load modules on demand, because most managers never need these modules.
const callOptions = lazily(() => require('./call-options.js'));
const derivedManagers = lazily(() => require('./derived-managers.js'));
const secretFunctions = lazily(() => require('./secret-function.js'));
const storeCalls = lazily(() => require('./store-calls.js'));
const tokenFetches = lazily(() => require('./token-fetch.js'));
const dpops = lazily(() => require('./dpop.js'));
const roots = lazily(() => require('./roots.js'));
const traceContexts = lazily(() => require('./trace-context.js'));
const asyncHooks = lazily(() => require('node:async_hooks'));
const currentContext = () => asyncHooks().AsyncLocalStorage.snapshot();

// The empty map that all managers without a request share. No code modifies it.
const NO_REQUESTS = new Map();
/** The id of a manager that is not derived. */
const PARENT = 0;
const DEFAULT_MAX_USER_TOKENS = 10_000;

const [NOTHING, ENDS, STARTS] = [0, 1, 2];

const deliver = Symbol('deliver');

class KeycloakTokenManager extends TokenSource {
  #core;
  // The managers that are derived from this one; `undefined` until the first of them exists.
  #derived;
  #maxUserTokens;
  #logger;
  #name;
  #clientId;
  #server;
  #resource;
  // The state for presenting bound tokens; `undefined` if no configuration has requested a bound
  // token.
  #dpop;
  #secretFunction;
  #secretCall;
  #secretError;
  #tokenFetch;
  #store;
  // The `tokenFetch` requests in progress.
  #requests = NO_REQUESTS;
  #isClosed = false;
  // The promise of a `close` that revokes tokens, and the function that ends its wait.
  #closing;
  #revoked;
  // Runs the user's functions in the async context in which the program created the manager.
  #inContext;
  // Reports acquisitions; `undefined` before the first subscriber or listener.
  #observer;
  // What the native side reports: nothing, the ends of acquisitions, or also their starts.
  #observation = NOTHING;
  #messageOrigin;
  // Returns the trace context of the active span; `undefined` without `propagateTraceContext`.
  #traceParent;

  constructor(options) {
    // The parts of the manager that its own token source uses.
    const family = {
      id: PARENT,
      call: (method, id, ...args) => this.#callObserved(method, id, ...args),
      context: () => this.#callersContext(),
      traceParent: () => this.#traceParent?.(),
      started: (event, inContext) => this.#observed().started(event, inContext),
      invalidated: (reason, outcome) => this.#invalidated(reason, outcome),
      error: (failure) => this.#error(failure),
      resource: () => this.#resource,
      server: () => this.#server,
      dpop: () => this.#dpop,
      derive: (request) => this.#family().derive({}, request),
      exchange: (subject, request) => this.#family().exchange({}, subject, request),
      forgetSubject: (subject) => this.#family().forgetSubject(subject),
    };
    super();
    this[source.attach](family);
    const core = open(options, weakListener(this));
    if (core.code !== undefined) throw new KeycloakTokenError(core);
    this.#core = core;
    this[source.connect](mapped(core.memory()), 0);
    this.#adopt(options);
    this[deliver]();
  }

  close(options) {
    if (!TokenSource.is(this)) return callOptions().rejectDetached('close');
    try {
      if (!wantsRevocation(options) || this.#isClosed) return this.#close();
      this.#closing ??= this.#revoke().then(() => this.#close());
      return this.#closing;
    } catch (error) {
      return Promise.reject(error);
    }
  }

  /** Rejects the callers, and resolves when the native side has revoked the tokens. */
  #revoke() {
    const isRevoking = this.#call('revoke');
    const failure = this.#call('closed');
    this.#derived?.end(failure);
    this[source.end](failure);
    if (!isRevoking) return Promise.resolve();
    return new Promise((resolve) => {
      // This object also keeps the manager alive, because other code may no longer refer to the
      // manager.
      const revocation = { manager: this };
      keepAlive(revocation, true);
      this.#revoked = () => {
        keepAlive(revocation, false);
        resolve();
      };
    });
  }

  #close() {
    let failure;
    try {
      failure = this.#call('close');
    } catch (error) {
      return Promise.reject(error);
    }
    this.#isClosed = true;
    this.#revoked?.();
    this.#revoked = undefined;
    this[source.forget]();
    this.#logger = undefined;
    this.#secretFunction = undefined;
    this.#secretError = undefined;
    this.#tokenFetch = undefined;
    this.#store = undefined;
    this.#inContext = undefined;
    if (this.#dpop !== undefined) this.#dpop.isClosed = true;
    for (const request of this.#requests.values()) request.abort();
    this.#requests = NO_REQUESTS;
    this.#derived?.end(failure);
    this[source.end](failure);
    this.#observer?.abandon(failure);
    this.#observer?.end();
    return Promise.resolve();
  }

  [Symbol.asyncDispose]() {
    if (!TokenSource.is(this)) return callOptions().rejectDetached('close');
    return this.close();
  }

  // `dropsToken`: the `resource` of a view has moved to another origin.
  [reconfigure](options, dropsToken = false) {
    const failure = this.#call('reconfigure', options, environment());
    if (failure !== null) throw new KeycloakTokenError(failure);
    const before = originOf(this.#resource);
    this.#adopt(options);
    // The manager must not send a token of the old configuration to another origin.
    if (dropsToken || originOf(this.#resource) !== before) {
      this.#call('dropToken', PARENT);
      this[source.forget]();
      this.#derived?.each((manager) => manager[source.forget]());
    }
    // New callers must not join a flight of the old configuration without asking the native side.
    this[source.detach]();
    this.#derived?.each((manager) => manager[source.detach]());
    this[deliver]();
  }

  // Keeps the options that this side of the boundary uses.
  #adopt(options) {
    const {
      clientSecret,
      dpop,
      logger,
      maxUserTokens,
      propagateTraceContext,
      resource,
      store,
      tokenFetch,
    } = options;
    this.#logger = logger;
    this.#name = options.name ?? options.clientId;
    this.#clientId = options.clientId;
    this.#messageOrigin = undefined;
    this.#maxUserTokens = maxUserTokens ?? DEFAULT_MAX_USER_TOKENS;
    this.#server = options.issuer ?? options.tokenEndpoint;
    this.#resource = resource === undefined ? undefined : { ...resource };
    if (dpop) this.#dpop ??= new (dpops().DpopState)();
    if (this.#dpop !== undefined) this.#dpop.isRequested = dpop ?? false;
    this.#secretFunction = typeof clientSecret === 'function' ? clientSecret : undefined;
    this.#secretCall = undefined;
    this.#secretError = undefined;
    this.#tokenFetch = tokenFetch;
    this.#store = store;
    this.#traceParent = propagateTraceContext ? traceContexts().traceParents() : undefined;
    if ([this.#secretFunction, tokenFetch, store].some((given) => given !== undefined)) {
      this.#inContext ??= currentContext();
    }
  }

  #family() {
    if (this.#derived === undefined) {
      const { DerivedManagers } = derivedManagers();
      this.#derived = new DerivedManagers({
        parent: this,
        call: (method, ...args) => this.#callObserved(method, ...args),
        context: () => this.#callersContext(),
        traceParent: () => this.#traceParent?.(),
        started: (event, inContext) => this.#observed().started(event, inContext),
        invalidated: (reason, outcome) => this.#invalidated(reason, outcome),
        released: (id) => this.#observer?.abandon(this.#call('closed'), id),
        map: (chunk) => mapped(this.#call('memory', chunk)),
        error: (failure) => this.#error(failure),
        resource: () => this.#resource,
        server: () => this.#server,
        dpop: () => this.#dpop,
        maxUserTokens: () => this.#maxUserTokens,
      });
    }
    return this.#derived;
  }

  // Adds a listener with `wantsContext()`, `ended(message)` and `closed()`. Returns `origin`, which
  // returns the members that all messages share, and `remove`, which removes the listener.
  [observe](listener) {
    const observer = this.#observed();
    if (this.#isClosed) listener.closed();
    else observer.add(listener);
    return { origin: () => this.#origin(), remove: () => observer.remove(listener) };
  }

  #observed() {
    this.#observer ??= new Observer(() => this.#origin());
    return this.#observer;
  }

  #origin() {
    this.#messageOrigin ??= messageOrigin(this.#name, this.#clientId, this.#server);
    return this.#messageOrigin;
  }

  #invalidated(reason, outcome) {
    publishInvalidation(() => this.#origin(), reason, outcome);
  }

  // Returns a function that runs another function in the current context; `undefined` if neither an
  // observer nor tracing needs the caller's context.
  #callersContext() {
    const isNeeded =
      this.#observation === STARTS ||
      this.#traceParent !== undefined ||
      this.#observer?.wantsContext;
    return isNeeded ? currentContext() : undefined;
  }

  [deliver]() {
    for (const event of this.#callObserved('drain')) {
      // A logger may have closed the manager.
      if (this.#isClosed) return;
      this.#handle(event);
    }
    this[source.compare]();
  }

  #handle(event) {
    switch (event.type) {
      case 'SecretWanted':
        if (event.manager === PARENT) this.#callSecret(event.call);
        else this.#derived.callAssertion(event);
        break;
      case 'StoreWanted':
        this.#callStore(event);
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
      case 'Log':
        this.#log(event);
        break;
      case 'RevocationEnded':
        this.#revoked?.();
        this.#revoked = undefined;
        break;
      default: {
        const owner = event.manager === PARENT ? this : this.#derived.find(event.manager);
        const inContext = event.acquisition && owner?.[source.contextOf](event);
        if (owner === this) this[source.handle](event);
        else this.#derived.handle(event);
        if (event.acquisition !== undefined) this.#observed().ended(event, inContext);
      }
    }
  }

  #error(failure) {
    const cause = failure.code === 'ERR_KEYCLOAK_CREDENTIAL' ? this.#secretError : undefined;
    return new KeycloakTokenError(failure, cause);
  }

  // Like `#call`, for a method that starts flights or reports their ends. The set of subscribers
  // may change at any time, so this method first tells the native side which reports the
  // subscribers need.
  #callObserved(method, ...args) {
    const hasListener = this.#observer?.observesEnds ?? observesEnds();
    const wanted = hasListener ? (observesStarts() ? STARTS : ENDS) : NOTHING;
    if (wanted !== this.#observation) {
      this.#observation = wanted;
      this.#call('observe', wanted !== NOTHING, wanted === STARTS);
    }
    return this.#call(method, ...args);
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
    // The native side ignores late results, so late errors do not count either.
    if (call === this.#secretCall) this.#secretError = answer.error;
    this.#core.answerSecret(call, answer.secret, answer.fault);
  }

  async #callStore(event) {
    const { callStore } = storeCalls();
    const start = performance.now();
    const outcome = await this.#inContext(callStore, this.#store, event);
    this.#core.endStoreCall(event.call, outcome);
    const seconds = (performance.now() - start) / 1_000;
    publishStoreCall(() => this.#origin(), event, outcome, seconds);
  }

  async #send(event) {
    const id = event.request;
    const controller = new AbortController();
    if (this.#requests === NO_REQUESTS) this.#requests = new Map();
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

function wantsRevocation(options) {
  if (options === undefined) return false;
  if (options === null || typeof options !== 'object') {
    throw badRequest('close: expected an object');
  }
  const unknown = Object.keys(options).find((name) => name !== 'revoke');
  if (unknown !== undefined) throw badRequest(`close: ${JSON.stringify(unknown)}: no such option`);
  const { revoke = false } = options;
  if (typeof revoke !== 'boolean') throw badRequest('close: expected revoke to be a boolean');
  return revoke;
}

// Maps the memory that the native side shares.
function mapped(memory) {
  return { words: new Int32Array(memory), numbers: new Float64Array(memory) };
}

module.exports = { KeycloakTokenManager };
