'use strict';

// Arguments: token endpoint, task, and times in ms. Prints what callers receive after the
// event loop was blocked.

const { setTimeout: delay } = require('node:timers/promises');
const { block, open, tell } = require('./program.js');

const tasks = {
  /** The first caller after the event loop was blocked between the two times. */
  async 'between calls'(from, until) {
    const one = open();
    const start = performance.now();
    const first = await one.getToken();
    const cached = await one.getToken();
    await delay(from - (performance.now() - start));
    block(until - (performance.now() - start));
    const { hits, acquisitions } = one.snapshot().counters;
    const asked = performance.now();
    const token = await one.getToken();
    const ms = performance.now() - asked;
    const { exp } = JSON.parse(Buffer.from(token.split('.')[1], 'base64url'));
    tell({
      ms,
      counters: { hits, acquisitions },
      wasCached: cached === first,
      isNew: token !== first,
      left: exp - Date.now() / 1000,
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
