'use strict';

// Arguments: token endpoint, task. Prints the memory that the task uses, in MiB.

const { readFileSync, writeFileSync } = require('node:fs');
const { once } = require('node:events');
const { collect, open, tell, told } = require('./program.js');

const KIB_PER_MIB = 1024;

/** A figure of this process from `/proc`, in MiB. */
function figure(name) {
  const status = readFileSync('/proc/self/status', 'latin1');
  return Number(new RegExp(`^${name}:\\s+(\\d+) kB$`, 'm').exec(status)[1]) / KIB_PER_MIB;
}

/** The resident memory after garbage collection. */
async function resident() {
  let rounds = 0;
  await collect(() => {
    rounds += 1;
    return rounds > 5;
  });
  return figure('VmRSS');
}

const tasks = {
  /** One token, then an answer that is far too large. */
  async flood() {
    const manager = open();
    await manager.getToken();
    manager.clearCache();
    const before = await resident();
    // This resets the peak.
    writeFileSync('/proc/self/clear_refs', '5');
    const error = await manager.getToken().catch((reason) => reason);
    tell({ code: error.code, message: error.message, grown: figure('VmHWM') - before });
  },

  /** Many managers that the program never closes, and then one that stays in use. */
  async drop() {
    const references = [];
    const acquire = async () => {
      const manager = open();
      references.push(new WeakRef(manager));
      await manager.getToken();
      await manager.getToken();
    };
    for (let round = 0; round < 10; round += 1) {
      await Promise.all(Array.from({ length: 50 }, acquire));
    }
    const isGone = (reference) => reference.deref() === undefined;
    await collect(() => references.every(isGone));
    const collected = references.filter(isGone).length;
    const control = open({ clientId: 'control' });
    const use = setInterval(() => control.getToken(), 10);
    tell({ made: references.length, collected });
    await told();
    clearInterval(use);
  },

  /** Managers with waiting callers; each manager is reachable only from its flight. */
  async wait() {
    const calls = {
      plain: open().getToken(),
      object: open()
        .getAccessToken()
        .then(({ token }) => token),
      afterOneLeft: (() => {
        const manager = open();
        const leaving = new AbortController();
        manager.getToken({ signal: leaving.signal }).catch(() => {});
        leaving.abort();
        return manager.getToken();
      })(),
      secretFunction: open({ clientSecret: async () => 'test-secret' }).getToken(),
    };
    tell('asked');
    await told();
    await resident();
    tell('collected');
    const tokens = {};
    for (const [name, call] of Object.entries(calls)) tokens[name] = typeof (await call);
    tell(tokens);
  },

  /** A manager that the program drops with a refresh in progress. */
  async dropInFlight() {
    let manager = open();
    const reference = new WeakRef(manager);
    await manager.getToken();
    await manager.getToken();
    tell('used');
    await told();
    manager = undefined;
    await collect(() => reference.deref() === undefined);
    tell({ isGone: reference.deref() === undefined });
    await once(process.stdin.resume().ref(), 'data');
    process.stdin.destroy();
  },
};

tasks[process.argv[3]]();
