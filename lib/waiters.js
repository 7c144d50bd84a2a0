'use strict';

/**
 * Those who wait for one flight. Callers that want the same thing and cannot leave share one
 * promise; a caller with a signal or a wish of its own has a promise of its own.
 */
class Waiters {
  #shared;
  #own = new Set();

  get isEmpty() {
    return this.#shared === undefined && this.#own.size === 0;
  }

  isShared(promise) {
    return promise !== undefined && this.#shared?.promise === promise;
  }

  shared() {
    this.#shared ??= withResolvers();
    return this.#shared.promise;
  }

  /** `onLeave` is called when an abort freed this caller alone. */
  add(shape, signal, forced, onLeave) {
    const { promise, resolve, reject } = withResolvers();
    const waiter = { shape, forced, resolve, reject, stopListening: undefined };
    this.#own.add(waiter);
    if (signal !== undefined) {
      const onAbort = () => {
        this.#own.delete(waiter);
        waiter.stopListening();
        reject(signal.reason);
        onLeave();
      };
      signal.addEventListener('abort', onAbort);
      waiter.stopListening = () => signal.removeEventListener('abort', onAbort);
    }
    return promise;
  }

  give(token) {
    this.#shared?.resolve(token.token);
    for (const waiter of this.#leave()) waiter.resolve(waiter.shape(token));
  }

  /** `fallback` is for those who did not insist on a new token. */
  fail(error, fallback) {
    if (fallback === undefined) this.#shared?.reject(error);
    else this.#shared?.resolve(fallback.token);
    for (const waiter of this.#leave()) {
      if (fallback === undefined || waiter.forced) waiter.reject(error);
      else waiter.resolve(waiter.shape(fallback));
    }
  }

  #leave() {
    const own = [...this.#own];
    this.#own.clear();
    for (const waiter of own) waiter.stopListening?.();
    return own;
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
