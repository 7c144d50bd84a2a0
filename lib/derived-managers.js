'use strict';

// The managers that are derived from one manager. Equal requests have the same derived manager as
// long as the program refers to it. A derived manager's native side exists from the first call that
// needs it until, at the latest, the garbage collector collects the manager.

const { AsyncLocalStorage } = require('node:async_hooks');
const { createHash } = require('node:crypto');
const { checkSubject, derivedRequest, exchangeRequest, keyOf } = require('./derived-request.js');
const { copyOf } = require('./resource-copy.js');
const { KeycloakTokenError } = require('./error.js');
const { lazily } = require('./lazily.js');
const { managerFor } = require('./resource-manager.js');
const { TokenSource, source } = require('./token-source.js');

// This function loads the module on demand, because few programs use assertion functions.
const secretFunctions = lazily(() => require('./secret-function.js'));

/** The number of derived managers that stay alive when the program no longer refers to them. */
const MOST_UNUSED = 256;

/** The number of APIs for which a derived manager keeps a view. */
const MOST_VIEWS = 16;

/**
 * The connection between a derived manager and its parent. It frees the native side after the
 * garbage collector has collected the manager, so it refers to the manager only weakly. It never
 * refers to a user's function, which may refer to the manager.
 */
class Derivation extends WeakRef {
  /** The id of the native side; `undefined` until a call needs the native side. */
  id = undefined;
  #managers;

  constructor(manager, managers, key) {
    super(manager);
    this.#managers = managers;
    this.key = key;
  }

  get #parent() {
    return this.#managers.parent;
  }

  call(method, id, ...args) {
    return this.#parent.call(method, id, ...args);
  }

  open(manager) {
    return this.#managers.open(manager, this);
  }

  context() {
    return this.#parent.context();
  }

  traceParent() {
    return this.#parent.traceParent();
  }

  started(event, inContext) {
    this.#parent.started(event, inContext);
  }

  invalidated(reason, outcome) {
    this.#parent.invalidated(reason, outcome);
  }

  error(failure) {
    const call =
      failure.code === 'ERR_KEYCLOAK_CREDENTIAL' ? assertionCalls.get(this.deref()) : undefined;
    return call?.error === undefined
      ? this.#parent.error(failure)
      : new KeycloakTokenError(failure, call.error);
  }

  resource() {
    return this.#parent.resource();
  }

  server() {
    return this.#parent.server();
  }

  dpop() {
    return this.#parent.dpop();
  }

  derive(given, resource) {
    return this.#managers.derive(requestOf(this.deref()), given, resource);
  }

  exchange(subjectToken, given, resource) {
    return this.#managers.exchange(requestOf(this.deref()), subjectToken, given, resource);
  }

  forgetSubject(subjectToken) {
    this.#managers.forgetSubject(subjectToken);
  }
}

/** The connection between a user's manager and its parent. */
class UserDerivation extends Derivation {
  /** The number of hits when `#touch` last considered releasing the manager. */
  hits = 0;
  /** Whether to release the native side as soon as no caller waits. */
  isReleased = false;
}

class DerivedTokenManager extends TokenSource {
  #request;

  constructor(managers, key, request) {
    super();
    this.#request = request;
    const isUser = request.subjectToken !== undefined;
    this[source.attach](new (isUser ? UserDerivation : Derivation)(this, managers, key));
    if (request.assertionFunction !== undefined) assertionCalls.set(this, new AssertionCall());
  }

  static requestOf(manager) {
    return manager.#request;
  }
}

const { requestOf } = DerivedTokenManager;
const derivationOf = (manager) => manager[source.family];

/** The calls of the assertion functions, keyed by derived manager. */
const assertionCalls = new WeakMap();

class AssertionCall {
  /** The last error that the function threw. */
  error;
  /** Runs the function in the async context in which the program derived the manager. */
  #inContext = AsyncLocalStorage.snapshot();

  async run(assertionFunction) {
    this.error = undefined;
    const { callSecretFunction } = secretFunctions();
    const answer = await this.#inContext(callSecretFunction, assertionFunction, 'grant.assertion');
    this.error = answer.error;
    return answer;
  }
}

class DerivedManagers {
  /** The connections to the derived managers, keyed by request key. */
  #byKey = new Map();
  /** The connections to the derived managers, keyed by the id of the native side. */
  #byId = new Map();
  /** The most recently used derived managers, in order of use. */
  #recent = new Map();
  /** The derived managers of users, the least recently used one first. */
  #users = new Map();
  #chunks = [];
  #collected = new FinalizationRegistry((derivation) => this.#remove(derivation));

  /** @param {object} parent the parts of the parent that derived managers use */
  constructor(parent) {
    this.parent = parent;
  }

  /** @param {object} base the request of the manager on which the program called `for` */
  derive(base, given, resource) {
    const request = derivedRequest(base, given);
    const isUser = request.subjectToken !== undefined;
    const key = isUser ? userKey(request) : keyOf(request);
    const manager = isUser ? this.#user(key, request) : this.#find(key, request);
    return forResource(manager, given?.resource ?? resource);
  }

  /** @param {object} base the request of the manager on which the program called `onBehalfOf` */
  exchange(base, subjectToken, given, resource) {
    const request = exchangeRequest(base, subjectToken, given);
    return forResource(this.#user(userKey(request), request), given?.resource ?? resource);
  }

  forgetSubject(subjectToken) {
    checkSubject('forgetSubject', subjectToken);
    const prefix = hashOf(subjectToken);
    for (const [key, manager] of this.#users) {
      if (!key.startsWith(prefix)) continue;
      this.#users.delete(key);
      this.#byKey.delete(key);
      const { id } = derivationOf(manager);
      // This call also deletes the token from a shared store.
      if (id !== undefined) this.parent.call('dropToken', id);
      this.#release(manager);
    }
  }

  /** Returns the derived manager whose native side has this id. */
  find(id) {
    return this.#byId.get(id)?.deref();
  }

  /** Passes an event to its derived manager. */
  handle(event) {
    const manager = this.find(event.manager);
    if (manager === undefined) return;
    manager[source.handle](event);
    if (derivationOf(manager).isReleased) this.#release(manager);
  }

  /** Calls the assertion function of a derived manager. */
  async callAssertion({ manager: id, call }) {
    const manager = this.find(id);
    const { assertionFunction } = manager ? requestOf(manager) : {};
    const answer = manager && (await assertionCalls.get(manager).run(assertionFunction));
    this.parent.call('answerSecret', call, answer?.secret, answer?.fault);
  }

  /** Calls a function with every derived manager that has a native side. */
  each(step) {
    for (const derivation of this.#byId.values()) {
      const manager = derivation.deref();
      if (manager !== undefined) step(manager);
    }
  }

  end(failure) {
    this.each((manager) => {
      manager[source.end](failure);
      // Later calls ask the closed parent for a new native side, and fail.
      derivationOf(manager).id = undefined;
      manager[source.disconnect]();
    });
    this.#byKey.clear();
    this.#byId.clear();
    this.#recent.clear();
    this.#users.clear();
  }

  #find(key, request) {
    let manager = this.#byKey.get(key)?.deref();
    if (manager === undefined) manager = this.#create(key, request);
    else if (this.#recent.size < MOST_UNUSED && this.#recent.has(key)) return manager;
    this.#recent.delete(key);
    this.#recent.set(key, manager);
    if (this.#recent.size > MOST_UNUSED) this.#recent.delete(this.#recent.keys().next().value);
    return manager;
  }

  #user(key, request) {
    const manager = this.#byKey.get(key)?.deref() ?? this.#create(key, request);
    this.#touch(key, manager);
    return manager;
  }

  /**
   * Marks a user's manager as just used, and releases the least recently used ones above the limit.
   */
  #touch(key, manager) {
    derivationOf(manager).isReleased = false;
    // After `forgetSubject`, two managers may belong to one user.
    const other = this.#users.get(key);
    if (other !== undefined && other !== manager) this.#release(other);
    this.#users.delete(key);
    this.#users.set(key, manager);
    const most = this.parent.maxUserTokens();
    for (const [oldestKey, oldest] of this.#users) {
      if (this.#users.size <= most) break;
      this.#users.delete(oldestKey);
      const derivation = derivationOf(oldest);
      const hits = oldest[source.hits];
      // Calls with a cached token do not reach this class. Only the number of hits shows them.
      if (oldest === manager || hits !== derivation.hits) {
        derivation.hits = hits;
        this.#users.set(oldestKey, oldest);
        continue;
      }
      this.#release(oldest);
    }
  }

  #create(key, request) {
    const manager = new DerivedTokenManager(this, key, request);
    const derivation = derivationOf(manager);
    this.#byKey.set(key, derivation);
    this.#collected.register(manager, derivation);
    return manager;
  }

  /** Creates the native side of a derived manager. Returns its id. */
  open(manager, derivation) {
    const request = requestOf(manager);
    const derived = this.parent.call('derive', request);
    // The parent is closed, and calls with its id fail with `ERR_KEYCLOAK_CLOSED`.
    if (derived === null) return 0;
    const { id, chunk, index } = derived;
    derivation.id = id;
    this.#chunks[chunk] ??= this.parent.map(chunk);
    manager[source.connect](this.#chunks[chunk], index);
    this.#byId.set(id, derivation);
    const { key } = derivation;
    if (request.subjectToken !== undefined && this.#users.get(key) !== manager) {
      this.#byKey.set(key, derivation);
      this.#touch(key, manager);
    }
    return id;
  }

  /** Frees the native side of a user's manager once no caller waits for it. */
  #release(manager) {
    const derivation = derivationOf(manager);
    if (derivation.id === undefined) return;
    if (manager[source.isAwaited]) {
      derivation.isReleased = true;
      return;
    }
    const { id } = derivation;
    derivation.isReleased = false;
    derivation.id = undefined;
    this.#byId.delete(id);
    manager[source.disconnect]();
    this.parent.call('release', id);
    this.parent.released(id);
  }

  /** Frees the native side of a manager that the garbage collector has collected. */
  #remove(derivation) {
    const { key, id } = derivation;
    if (this.#byKey.get(key) === derivation) this.#byKey.delete(key);
    if (id === undefined) return;
    this.#byId.delete(id);
    this.parent.call('release', id);
    this.parent.released(id);
  }
}

/** The views of each derived manager. The map is weak, but the views refer to the manager. */
const viewsOf = new WeakMap();

/** Returns the manager or, for a resource, a view of it. Equal resources have the same view. */
function forResource(manager, given) {
  if (given === undefined) return manager;
  const resource = copyOf(given);
  const views = viewsOf.get(manager) ?? [];
  const known = views.find((view) => isSame(view.resource, resource));
  if (known !== undefined) return known.manager;
  const view = { resource, manager: managerFor(manager, resource) };
  viewsOf.set(manager, [...views.slice(1 - MOST_VIEWS), view]);
  return view.manager;
}

function isSame(one, other) {
  const { baseUrl, userHeader, fetch } = other ?? {};
  return one.baseUrl === baseUrl && one.userHeader === userHeader && one.fetch === fetch;
}

/** Returns a key that begins with a hash of the user's token and does not contain that token. */
function userKey(request) {
  return `${hashOf(request.subjectToken)} ${keyOf(request)}`;
}

function hashOf(subjectToken) {
  return createHash('sha256').update(subjectToken).digest('base64');
}

module.exports = { DerivedManagers };
