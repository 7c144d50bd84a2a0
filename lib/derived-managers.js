'use strict';

// The managers that are derived from one manager. Equal requests have the same derived manager as
// long as the program refers to it. The first call that needs the native side creates it; the
// derived manager frees it at its own end.

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

/** The number of derived managers that stay although the program no longer refers to them. */
const MOST_UNUSED = 256;

/** The number of APIs for which a derived manager keeps a view. */
const MOST_VIEWS = 16;

/**
 * The connection between a derived manager and its parent. A derivation outlives its derived
 * manager, and therefore refers to it only weakly.
 */
class Derivation {
  /**
   * What remains to do when the garbage collector takes the manager: it refers neither to the
   * manager nor to a function of the user, which may refer to the manager.
   */
  held;
  /** The number of hits at the last decision whether to release the manager. */
  hits = 0;
  /** Whether to release the native side as soon as no caller waits. */
  isReleased = false;
  /** The last error that the assertion function threw. */
  functionError;
  #managers;
  #parent;
  #inContext;

  constructor(managers, parent, key, request) {
    this.#managers = managers;
    this.#parent = parent;
    this.held = { key, id: undefined, reference: undefined };
    this.request = request;
    if (request.assertionFunction !== undefined) this.#inContext = AsyncLocalStorage.snapshot();
  }

  get key() {
    return this.held.key;
  }

  /** The id of the native side. */
  get id() {
    return this.held.id;
  }

  set id(id) {
    this.held.id = id;
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
    const isOfFunction =
      this.functionError !== undefined && failure.code === 'ERR_KEYCLOAK_CREDENTIAL';
    return isOfFunction
      ? new KeycloakTokenError(failure, this.functionError)
      : this.#parent.error(failure);
  }

  /** Calls the assertion function in the async context that derived the manager. */
  async callAssertion() {
    this.functionError = undefined;
    const { callSecretFunction } = secretFunctions();
    const name = 'grant.assertion';
    const answer = await this.#inContext(callSecretFunction, this.request.assertionFunction, name);
    this.functionError = answer.error;
    return answer;
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
    return this.#managers.derive(this.request, given, resource);
  }

  exchange(subjectToken, given, resource) {
    return this.#managers.exchange(this.request, subjectToken, given, resource);
  }

  forgetSubject(subjectToken) {
    this.#managers.forgetSubject(subjectToken);
  }
}

class DerivedTokenManager extends TokenSource {
  #record;

  constructor(record) {
    super(record);
    this.#record = record;
  }

  static recordOf(manager) {
    return manager.#record;
  }
}

const { recordOf } = DerivedTokenManager;

class DerivedManagers {
  #parent;
  /** Weak references to the derived managers, keyed by the key of the request. */
  #byKey = new Map();
  /** Weak references to the derived managers, keyed by the id of the native side. */
  #byId = new Map();
  /** The most recently used derived managers, in the order of their use. */
  #recent = new Map();
  /** The derived managers of users, the least recently used one first. */
  #users = new Map();
  #chunks = [];
  #collected = new FinalizationRegistry((held) => this.#remove(held));

  /** @param {object} parent the parts of the parent that derived managers use */
  constructor(parent) {
    this.#parent = parent;
  }

  /** @param {object} base the request of the manager whose method `for` the program called */
  derive(base, given, resource) {
    const request = derivedRequest(base, given);
    const isUser = request.subjectToken !== undefined;
    const key = isUser ? userKey(request) : keyOf(request);
    const manager = isUser ? this.#user(key, request) : this.#find(key, request);
    return forResource(manager, given?.resource ?? resource);
  }

  /**
   * @param {object} base the request of the manager whose method `onBehalfOf` the program called
   */
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
      const { id } = recordOf(manager);
      // This call also deletes the token from a shared store.
      if (id !== undefined) this.#parent.call('dropToken', id);
      this.#release(manager);
    }
  }

  /** Returns the derived manager with this id of its native side. */
  find(id) {
    return this.#byId.get(id)?.deref();
  }

  /** Passes an event to its derived manager. */
  handle(event) {
    const manager = this.find(event.manager);
    if (manager === undefined) return;
    manager[source.handle](event);
    if (recordOf(manager).isReleased) this.#release(manager);
  }

  /** Calls the assertion function of a derived manager. */
  async callAssertion({ manager: id, call }) {
    const manager = this.#byId.get(id)?.deref();
    const answer = manager && (await recordOf(manager).callAssertion());
    this.#parent.call('answerSecret', call, answer?.secret, answer?.fault);
  }

  /** Calls a function with every derived manager that has a native side. */
  each(step) {
    for (const reference of this.#byId.values()) {
      const manager = reference.deref();
      if (manager !== undefined) step(manager);
    }
  }

  end(failure) {
    this.each((manager) => {
      manager[source.end](failure);
      // Later calls belong to the parent, which is closed.
      recordOf(manager).id = undefined;
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
   * Makes a user's manager the most recently used one, and releases the least recently used one.
   */
  #touch(key, manager) {
    recordOf(manager).isReleased = false;
    // After `forgetSubject`, two managers may belong to one user.
    const other = this.#users.get(key);
    if (other !== undefined && other !== manager) this.#release(other);
    this.#users.delete(key);
    this.#users.set(key, manager);
    const most = this.#parent.maxUserTokens();
    for (const [oldestKey, oldest] of this.#users) {
      if (this.#users.size <= most) break;
      this.#users.delete(oldestKey);
      const record = recordOf(oldest);
      const hits = oldest[source.hits];
      // A call with a cached token does not reach this class, so only the number of hits shows it.
      if (oldest === manager || hits !== record.hits) {
        record.hits = hits;
        this.#users.set(oldestKey, oldest);
        continue;
      }
      this.#release(oldest);
    }
  }

  #create(key, request) {
    const record = new Derivation(this, this.#parent, key, request);
    const manager = new DerivedTokenManager(record);
    const reference = new WeakRef(manager);
    record.held.reference = reference;
    this.#byKey.set(key, reference);
    this.#collected.register(manager, record.held);
    return manager;
  }

  /** Creates the native side of a derived manager. Returns its id. */
  open(manager, record) {
    const derived = this.#parent.call('derive', record.request);
    // The parent is closed, and calls with its id fail with `ERR_KEYCLOAK_CLOSED`.
    if (derived === null) return 0;
    const { id, chunk, index } = derived;
    record.id = id;
    this.#chunks[chunk] ??= this.#parent.map(chunk);
    manager[source.connect](id, this.#chunks[chunk], index);
    this.#byId.set(id, record.held.reference);
    if (record.request.subjectToken !== undefined && this.#users.get(record.key) !== manager) {
      this.#byKey.set(record.key, record.held.reference);
      this.#touch(record.key, manager);
    }
    return id;
  }

  /** Frees the native side of a user's manager once no caller waits for it. */
  #release(manager) {
    const record = recordOf(manager);
    if (record.id === undefined) return;
    if (manager[source.isAwaited]) {
      record.isReleased = true;
      return;
    }
    const { id } = record;
    record.isReleased = false;
    record.id = undefined;
    this.#byId.delete(id);
    manager[source.disconnect]();
    this.#parent.call('release', id);
    this.#parent.released(id);
  }

  /** Frees the native side of a manager that the garbage collector has collected. */
  #remove({ key, id, reference }) {
    if (this.#byKey.get(key) === reference) this.#byKey.delete(key);
    if (id === undefined) return;
    this.#byId.delete(id);
    this.#parent.call('release', id);
    this.#parent.released(id);
  }
}

/** The views of each derived manager, to which they refer. */
const viewsOf = new WeakMap();

/** Returns the manager or, for a resource, its view. Equal resources have the same view. */
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
