'use strict';

const native = require('./native.js');
const { KeycloakTokenError, badRequest, internal } = require('./error.js');
const reconfigure = require('./reconfigure.js');
const { Waiters } = require('./waiters.js');

// The managers that callers wait for: they are kept alive, and the event loop with them.
const waiting = new Set();

function keepAlive(manager, isWaitedFor) {
  const wasEmpty = waiting.size === 0;
  if (isWaitedFor) waiting.add(manager);
  else waiting.delete(manager);
  const isEmpty = waiting.size === 0;
  if (isEmpty !== wasEmpty) native.hold(!isEmpty);
}

// Node reads it when the process starts; a later change counts for neither.
const EXTRA_CA_CERTS = process.env.NODE_EXTRA_CA_CERTS;

// Loaded when they are needed, which for most managers is never.
const callOptions = () => require('./call-options.js');
const secretFunctions = () => require('./secret-function.js');
const roots = () => require('./roots.js');
const authenticatedFetch = () => require('./authenticated-fetch.js');

const NO_OPTIONS = Object.freeze({});
// What most managers have most of the time. Nothing is put into it.
const NO_FLIGHTS = new Map();

const deliver = Symbol('deliver');

class KeycloakTokenManager {
  #core;
  // The native side changes word 0 when the token that we hold may not be served any longer. While
  // it is what it was when the token came, a call costs nothing but this comparison.
  #word;
  #counts;
  #seen = 0;
  #token;
  #promise;
  // What a plain call that finds no token waits for: one promise, however many callers.
  #pending;
  #flights = NO_FLIGHTS;
  #logger;
  #resource;
  #resourceFetch;
  #secretFunction;
  #secretCall;
  #secretError;

  constructor(options) {
    const core = open(options, weakListener(this));
    if (core.code !== undefined) throw new KeycloakTokenError(core);
    this.#core = core;
    const memory = core.memory();
    this.#word = new Int32Array(memory);
    this.#counts = new Float64Array(memory);
    this.#adopt(options);
    // An own property, so that it works detached.
    const fetch = (input, init) => this.#fetch(input, init);
    Object.defineProperty(this, 'fetch', { value: fetch, configurable: true, writable: true });
    this[deliver]();
  }

  // Where V8 does not inline the call, a declared parameter that nobody gives costs a seventh of it.
  getToken() {
    // biome-ignore lint/complexity/noArguments: a rest parameter makes an array for every call.
    const options = arguments.length === 0 ? undefined : arguments[0];
    if (options === undefined) {
      if (this.#word[0] === this.#seen) {
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
    return this.#ask(options, asObject);
  }

  getTokenForStreaming(minLifetimeMs) {
    if (!callOptions().isDuration(minLifetimeMs)) {
      return Promise.reject(badRequest('minLifetimeMs: expected a number of at least 0'));
    }
    return this.getToken({ minValiditySeconds: minLifetimeMs / 1000 });
  }

  invalidateToken(rejected) {
    if (rejected === undefined) return this.#clear();
    if (typeof rejected !== 'string') {
      throw badRequest('invalidateToken: expected the rejected token, a string');
    }
    return this.#reject(rejected) === 'dropped';
  }

  clearCache() {
    this.#clear();
  }

  snapshot() {
    return this.#call('snapshot');
  }

  close() {
    let failure;
    try {
      failure = this.#call('close');
    } catch (error) {
      return Promise.reject(error);
    }
    this.#forget();
    this.#logger = undefined;
    this.#secretFunction = undefined;
    this.#secretError = undefined;
    const flights = [...this.#flights.values()];
    this.#flights = NO_FLIGHTS;
    keepAlive(this, false);
    for (const waiters of flights) waiters.fail(this.#error(failure));
    return Promise.resolve();
  }

  [Symbol.asyncDispose]() {
    return this.close();
  }

  [reconfigure](options) {
    const failure = this.#call('reconfigure', options, environment());
    if (failure !== null) throw new KeycloakTokenError(failure);
    const before = originOf(this.#resource);
    this.#adopt(options);
    // A token of the old configuration is not for another origin.
    if (originOf(this.#resource) !== before) this.#clear();
    // Callers who come now must not join a flight of the old configuration unasked.
    this.#pending = undefined;
    this[deliver]();
  }

  // What stays on this side of the boundary.
  #adopt({ clientSecret, logger, resource }) {
    this.#logger = logger;
    this.#resource = resource === undefined ? undefined : { ...resource };
    this.#resourceFetch = undefined;
    this.#secretFunction = typeof clientSecret === 'function' ? clientSecret : undefined;
    this.#secretCall = undefined;
    this.#secretError = undefined;
  }

  #fetch(input, init) {
    const resource = this.#resource;
    this.#resourceFetch ??= authenticatedFetch().makeFetch({
      manager: this,
      resource,
      isCurrent: () => originOf(this.#resource) === originOf(resource),
      reject: (token) => this.#reject(token),
    });
    return this.#resourceFetch(input, init);
  }

  // What became of the token: `dropped`, `kept`, or `ignored` because it is not the held one.
  #reject(token) {
    const outcome = this.#call('invalidate', token);
    if (outcome === 'dropped') this.#forget();
    return outcome;
  }

  #ask(options, shape) {
    const checked = options === undefined ? NO_OPTIONS : callOptions().checked(options);
    if (checked.fault !== undefined) return Promise.reject(checked.fault);
    const { minValiditySeconds = 0, signal, forceRefresh = false } = checked;
    if (signal?.aborted) return Promise.reject(signal.reason);
    if (this.#word[0] === this.#seen && minValiditySeconds === 0 && !forceRefresh) {
      this.#counts[1]++;
      return Promise.resolve(shape(this.#token));
    }
    let outcome;
    try {
      outcome = this.#call('ask', minValiditySeconds, forceRefresh);
    } catch (error) {
      return Promise.reject(error);
    }
    if (typeof outcome === 'number') return this.#wait(outcome, shape, checked);
    if (outcome.code !== undefined) return Promise.reject(this.#error(outcome));
    this.#keep(outcome);
    return outcome === this.#token && shape === asString
      ? this.#promise
      : Promise.resolve(shape(outcome));
  }

  #wait(flight, shape, options) {
    let waiters = this.#flights.get(flight);
    if (waiters === undefined) {
      waiters = new Waiters();
      if (this.#flights === NO_FLIGHTS) this.#flights = new Map();
      this.#flights.set(flight, waiters);
    }
    keepAlive(this, true);
    // Only those who found no token may be joined unasked: whoever has a wish waits beside one that
    // others still get at once.
    if (options === NO_OPTIONS && shape === asString) {
      this.#pending = waiters.shared();
      return this.#pending;
    }
    return waiters.add(shape, options, () => this.#releaseIfAlone());
  }

  // A flight that all its callers left goes on, without holding the process.
  #releaseIfAlone() {
    for (const waiters of this.#flights.values()) if (!waiters.isEmpty) return;
    keepAlive(this, false);
  }

  [deliver]() {
    for (const event of this.#call('drain')) this.#handle(event);
    if (this.#word[0] !== this.#seen) this.#letGo();
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
        handOverRoots();
        break;
      default:
        this.#log(event);
    }
  }

  // The waiters of a flight that has landed. None where all of them are gone.
  #land(flight) {
    const waiters = this.#flights.get(flight);
    if (waiters === undefined) return undefined;
    this.#flights.delete(flight);
    if (this.#flights.size === 0) this.#flights = NO_FLIGHTS;
    if (waiters.isShared(this.#pending)) this.#pending = undefined;
    this.#releaseIfAlone();
    return waiters;
  }

  // Keeps a token for the calls to come, if the native side says for which word.
  #keep(token) {
    if (token.word === 0) return;
    this.#seen = token.word | 0;
    this.#token = token;
    this.#promise = Promise.resolve(token.token);
  }

  #letGo() {
    this.#seen = 0;
    this.#token = undefined;
    this.#promise = undefined;
  }

  // Also leaves the flight: callers who come now must not join it.
  #forget() {
    this.#letGo();
    this.#pending = undefined;
  }

  #clear() {
    const hadToken = this.#call('clear');
    this.#forget();
    return hadToken;
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
      // One that is asynchronous throws later.
      Promise.resolve(this.#logger?.[level](message)).catch(() => {});
    } catch {
      // A logger that throws must not take a token from anybody.
    }
  }

  async #callSecret(call) {
    this.#secretCall = call;
    this.#secretError = undefined;
    const answer = await secretFunctions().callSecretFunction(this.#secretFunction);
    // A late answer is ignored, and so is what it failed with.
    if (call === this.#secretCall) this.#secretError = answer.error;
    this.#core.answerSecret(call, answer.secret, answer.fault);
  }
}

// The listener that the native side holds must not keep the manager alive.
function weakListener(manager) {
  const reference = new WeakRef(manager);
  return () => reference.deref()?.[deliver]();
}

// Native code gives failures as data, also an exception of the user's own options: what it throws is
// a fault of this package. No closure holds the options, since its siblings would keep the secret.
function open(options, listener) {
  try {
    return native.open(options, environment(), listener);
  } catch (cause) {
    throw internal(cause);
  }
}

// Read when a manager is made. The lower case wins, as everywhere.
function environment() {
  const { env } = process;
  return {
    verifiesCertificates: env.NODE_TLS_REJECT_UNAUTHORIZED !== '0',
    httpsProxy: env.https_proxy ?? env.HTTPS_PROXY,
    httpProxy: env.http_proxy ?? env.HTTP_PROXY,
    noProxy: env.no_proxy ?? env.NO_PROXY,
    extraCaCerts: EXTRA_CA_CERTS,
  };
}

// Without them nothing is trusted but what is named, which is an error that says so.
function handOverRoots() {
  let pem = '';
  try {
    pem = roots().trustedByNode();
  } catch {
    // Node cannot say; the request says what is missing.
  }
  native.trust(pem);
}

function originOf(resource) {
  return resource === undefined ? undefined : authenticatedFetch().baseOf(resource).origin;
}

function asString(token) {
  return token.token;
}

function asObject({ token, scope, issuedAt, expiresAt }) {
  return { token, tokenType: 'Bearer', scope, issuedAt, expiresAt };
}

module.exports = { KeycloakTokenManager };
