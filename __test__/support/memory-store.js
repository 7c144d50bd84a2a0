'use strict';

const { setTimeout: delay } = require('node:timers/promises');

/**
 * An in-memory shared store that can fail as a real one does. `mode` is `works`, `slow`, `frozen`
 * (answers when it works again), `dead` (never answers), `throws`, `rejects` or `full`.
 */
class MemoryStore {
  mode = 'works';
  entries = new Map();
  calls = [];
  pending = 0;
  #thaw = [];

  get(key) {
    return this.#call('get', () => {
      const { value, end } = this.entries.get(key) ?? {};
      return end > Date.now() ? value : undefined;
    });
  }

  set(key, value, ttlMs) {
    return this.#call('set', () => {
      this.entries.set(key, { value, ttlMs, end: Date.now() + ttlMs });
      return true;
    });
  }

  delete(key) {
    return this.#call('delete', () => this.entries.delete(key));
  }

  setMode(mode) {
    this.mode = mode;
    for (const resolve of this.#thaw.splice(0)) resolve();
  }

  /** Returns the calls since the last `takeCalls()`. */
  takeCalls() {
    return this.calls.splice(0);
  }

  #call(name, act) {
    this.calls.push(name);
    const { mode } = this;
    if (mode === 'throws') throw new Error('a password in the message');
    this.pending += 1;
    return this.#answer(name, act, mode).finally(() => {
      this.pending -= 1;
    });
  }

  async #answer(name, act, mode) {
    if (mode === 'slow') await delay(100);
    if (mode === 'dead') await new Promise(() => {});
    if (mode === 'frozen') await new Promise((resolve) => this.#thaw.push(resolve));
    if (mode === 'rejects' || (mode === 'full' && name === 'set')) {
      throw Object.assign(new Error('a password in the message'), { code: 'ECONNREFUSED' });
    }
    return act();
  }
}

module.exports = { MemoryStore };
