'use strict';

const { asString } = require('./access-token.js');
const { badRequest } = require('./error.js');

/**
 * The callers that wait for one flight. Calls of `getToken()` without options share a promise;
 * every other call has its own promise.
 */
class Waiters {
  /**
   * A function that runs another function in the context of the first caller; `undefined` if no
   * code needs this context.
   */
  inContext;
  #shared;
  // The callers with their own promises, keyed by signal, so that each signal has one listener no
  // matter how many callers use it. The first such caller creates the map, because most flights
  // need no map.
  #own;

  constructor(inContext) {
    this.inContext = inContext;
  }

  get isEmpty() {
    return this.#shared === undefined && (this.#own === undefined || this.#own.size === 0);
  }

  isShared(promise) {
    return promise !== undefined && this.#shared?.promise === promise;
  }

  shared() {
    this.#shared ??= withResolvers();
    return this.#shared.promise;
  }

  /**
   * Adds a caller and returns its promise. When the signal aborts, rejects all callers that passed
   * it, then calls `onLeave`. With `askAgain`, the caller receives the result of that function once
   * the flight has ended.
   */
  add(shape, options, onLeave, askAgain) {
    const { signal } = options;
    const { promise, resolve, reject } = withResolvers();
    this.#own ??= new Map();
    let group = this.#own.get(signal);
    if (group === undefined) {
      let stopListening;
      try {
        stopListening = listen(signal, () => this.#abort(signal, onLeave));
      } catch {
        onLeave();
        return Promise.reject(badRequest('signal: the manager cannot listen to this signal'));
      }
      group = { waiters: [], stopListening };
      this.#own.set(signal, group);
    }
    group.waiters.push({ shape, options, resolve, reject, askAgain });
    return promise;
  }

  give(token) {
    this.#shared?.resolve(token.token);
    for (const waiter of this.#leave()) {
      const { askAgain = () => waiter.shape(token) } = waiter;
      waiter.resolve(askAgain());
    }
  }

  /**
   * Rejects the callers. With a `fallback` token, rejects only the callers that forced a refresh,
   * and gives the token to the others.
   */
  fail(error, fallback) {
    if (fallback === undefined) this.#shared?.reject(error);
    else this.#shared?.resolve(fallback.token);
    for (const waiter of this.#leave()) {
      if (waiter.askAgain !== undefined) waiter.resolve(waiter.askAgain());
      else if (fallback === undefined || waiter.options.forceRefresh) waiter.reject(error);
      else waiter.resolve(waiter.shape(fallback));
    }
  }

  /** Makes all callers ask again through `ask`, which takes the options and the shape of a call. */
  again(ask) {
    this.#shared?.resolve(ask(undefined, asString));
    for (const waiter of this.#leave()) waiter.resolve(ask(waiter.options, waiter.shape));
  }

  #abort(signal, onLeave) {
    const { waiters, stopListening } = this.#own.get(signal);
    this.#own.delete(signal);
    stopListening();
    for (const waiter of waiters) waiter.reject(signal.reason);
    onLeave();
  }

  #leave() {
    if (this.#own === undefined) return [];
    const groups = [...this.#own.values()];
    this.#own.clear();
    for (const group of groups) group.stopListening();
    return groups.flatMap((group) => group.waiters);
  }
}

// The listener of each signal. Calls of many managers may wait with the same signal, but each
// signal has only one listener, because Node warns about more than ten listeners.
const listeners = new WeakMap();

/** Calls `onAbort` when the signal aborts. The returned function removes `onAbort`. */
function listen(signal, onAbort) {
  if (signal === undefined) return () => {};
  if (!listeners.has(signal)) listeners.set(signal, new SharedListener(signal));
  const listener = listeners.get(signal);
  listener.callbacks.add(onAbort);
  return () => {
    listener.callbacks.delete(onAbort);
    if (listener.callbacks.size > 0) return;
    signal.removeEventListener('abort', listener);
    listeners.delete(signal);
  };
}

class SharedListener {
  callbacks = new Set();

  constructor(signal) {
    signal.addEventListener('abort', this);
  }

  handleEvent() {
    for (const callback of [...this.callbacks]) callback();
  }
}

function withResolvers() {
  let resolve;
  let reject;
  const promise = new Promise((yes, no) => {
    resolve = yes;
    reject = no;
  });
  return { promise, resolve, reject };
}

module.exports = { Waiters };
