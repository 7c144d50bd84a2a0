'use strict';

const native = require('./native.js');
const { KeycloakTokenError, badRequest, unreadable } = require('./error.js');
const reconfigure = require('./reconfigure.js');
const { Waiters } = require('./waiters.js');

// Managers by the id that the native side notifies with. Weak, so that one that nobody uses can go;
// one that is waited for is held in `waiting`.
const managers = new Map();
const waiting = new Map();
const dropped = new FinalizationRegistry((id) => managers.delete(id));

function notify(id) {
  managers.get(id)?.deref()?.[deliver]();
}

const deliver = Symbol('deliver');

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
    const core = open(options);
    if (core.code !== undefined) throw new KeycloakTokenError(core);
    this.#core = core;
    const memory = core.memory();
    this.#word = new Int32Array(memory);
    this.#counts = new Float64Array(memory);
    this.#adopt(options);
    managers.set(core.id, new WeakRef(this));
    dropped.register(this, core.id);
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
    return this.#core.snapshot();
  }

  close() {
    this.#core.close();
    this.#forget();
    this.#logger = undefined;
    this.#secretFunction = undefined;
    this.#secretError = undefined;
    managers.delete(this.#core.id);
    const flights = [...this.#flights.values()];
    this.#flights = NO_FLIGHTS;
    waiting.delete(this.#core.id);
    for (const waiters of flights) waiters.fail(this.#error(this.#core.ask(0, false)));
    return Promise.resolve();
  }

  [Symbol.asyncDispose]() {
    return this.close();
  }

  [reconfigure](options) {
    const failure = reopen(this.#core, options);
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
    const outcome = this.#core.invalidate(token);
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
    const outcome = this.#core.ask(minValiditySeconds, forceRefresh);
    if (typeof outcome === 'number') return this.#wait(outcome, shape, checked);
    if (outcome.code !== undefined) {
      return Promise.reject(this.#error(outcome));
    }
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
    waiting.set(this.#core.id, this);
    this.#core.hold(true);
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
    this.#core.hold(false);
    waiting.delete(this.#core.id);
  }

  [deliver]() {
    for (const delivery of this.#core.take()) {
      if (delivery.flight !== undefined) this.#land(delivery);
      else if (delivery.secretCall !== undefined) this.#callSecret(delivery.secretCall);
      else if (delivery.needsRoots) handOverRoots();
      else this.#log(delivery);
    }
    if (this.#word[0] !== this.#seen) this.#letGo();
  }

  #land({ flight, token, isOver, failure, fallback }) {
    if (token !== undefined) this.#keep(token);
    const waiters = this.#flights.get(flight);
    if (waiters === undefined) return;
    this.#flights.delete(flight);
    if (this.#flights.size === 0) this.#flights = NO_FLIGHTS;
    if (waiters.isShared(this.#pending)) this.#pending = undefined;
    this.#releaseIfAlone();
    if (isOver) waiters.again((options, shape) => this.#ask(options, shape));
    else if (token !== undefined) waiters.give(token);
    else waiters.fail(this.#error(failure), fallback);
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
    const hadToken = this.#core.clear();
    this.#forget();
    return hadToken;
  }

  #error(failure) {
    const cause = failure.code === 'ERR_KEYCLOAK_CREDENTIAL' ? this.#secretError : undefined;
    return new KeycloakTokenError(failure, cause);
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

// Reading options runs the code of their getters, if they have any. No closure holds them: it would
// keep a secret as long as its siblings live.
function open(options) {
  try {
    return native.open(options, environment(), notify);
  } catch (cause) {
    throw unreadable(cause);
  }
}

function reopen(core, options) {
  try {
    return core.reconfigure(options, environment());
  } catch (cause) {
    throw unreadable(cause);
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
  return resource === undefined ? undefined : new URL(resource.baseUrl).origin;
}

function asString(token) {
  return token.token;
}

function asObject({ token, scope, issuedAt, expiresAt }) {
  return { token, tokenType: 'Bearer', scope, issuedAt, expiresAt };
}

module.exports = { KeycloakTokenManager };
