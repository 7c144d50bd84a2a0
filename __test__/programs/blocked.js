'use strict';

// Arguments: token endpoint, task, and times in ms. Prints what callers receive after the
// event loop was blocked.

const { setTimeout: delay } = require('node:timers/promises');
const { MemoryStore } = require('../support/memory-store.js');
const { block, open, tell } = require('./program.js');

/** The remaining seconds of a token's life. */
const leftOf = (token) =>
  JSON.parse(Buffer.from(token.split('.')[1], 'base64url')).exp - Date.now() / 1000;

const tasks = {
  /** The first caller after the program has blocked the event loop from `from` to `until`. */
  async 'between calls'(from, until, sharesTokens = 0) {
    const storeKey = 'a secret of at least 24 characters';
    const one = open(sharesTokens ? { store: new MemoryStore(), storeKey } : {});
    const start = performance.now();
    const first = await one.getToken();
    const cached = await one.getToken();
    await delay(from - (performance.now() - start));
    block(until - (performance.now() - start));
    const { hits, acquisitions, storeFailures } = one.snapshot().counters;
    const asked = performance.now();
    const token = await one.getToken();
    const ms = performance.now() - asked;
    tell({
      ms,
      counters: { hits, acquisitions },
      storeFailures,
      wasCached: cached === first,
      isNew: token !== first,
      left: leftOf(token),
    });
  },

  /** Two callers whose event loop is blocked while the response arrives. */
  async 'while the answer comes'(busyMs) {
    const manager = open();
    const first = manager.getToken();
    tell('asked');
    block(busyMs);
    tell([await first, await manager.getToken()]);
  },

  /** Callers of every kind whose event loop is blocked until the token has expired. */
  async 'past the life'(busyMs) {
    const manager = open();
    const waiting = [
      manager.getToken(),
      manager.getToken(),
      manager.getAccessToken().then(({ token }) => token),
      manager.getToken({ signal: new AbortController().signal }),
    ];
    block(busyMs);
    const tokens = new Set(await Promise.all(waiting));
    tell({ count: tokens.size, left: Math.min(...Array.from(tokens, leftOf)) });
  },

  /** A caller with a minimum validity whose request fails while the held token expires. */
  async 'past the life of the held token'(busyMs) {
    const manager = open();
    await manager.getToken();
    const call = manager.getToken({ minValiditySeconds: 100 });
    block(busyMs);
    tell(await call.then((token) => ({ left: leftOf(token) })).catch(({ code }) => ({ code })));
  },

  /** A caller whose deadline passes before the event loop can read Node's certificates. */
  async 'past the deadline'(busyMs) {
    const call = open({ requestTimeoutMs: 200 })
      .getToken()
      .catch(({ code, message }) => ({ code, message }));
    block(busyMs);
    tell(await call);
  },
};

const [, , , task, ...times] = process.argv;
tasks[task](...times.map(Number));
