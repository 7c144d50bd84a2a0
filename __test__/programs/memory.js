'use strict';

// Arguments: token endpoint, what to do. Prints what became of the memory, in MiB.

const { readFileSync, writeFileSync } = require('node:fs');
const { once } = require('node:events');
const { finished } = require('node:stream/promises');
const { setTimeout: delay } = require('node:timers/promises');
const v8 = require('node:v8');
const { collect, open, tell, told } = require('./program.js');

const KIB_PER_MIB = 1024;
/** The life of the tokens whose traces are looked for. */
const LIFE_MS = 1000;

/** A figure of this process from `/proc`, in MiB. */
function figure(name) {
  const status = readFileSync('/proc/self/status', 'latin1');
  return Number(new RegExp(`^${name}:\\s+(\\d+) kB$`, 'm').exec(status)[1]) / KIB_PER_MIB;
}

/** Resident memory, once garbage is gone. */
async function resident() {
  let rounds = 0;
  await collect(() => {
    rounds += 1;
    return rounds > 5;
  });
  return figure('VmRSS');
}

/** The content of the JavaScript heap, as text. */
async function heap() {
  const snapshot = v8.getHeapSnapshot();
  let text = '';
  snapshot.setEncoding('latin1').on('data', (chunk) => {
    text += chunk;
  });
  await finished(snapshot);
  return text;
}

const tasks = {
  /** One token, then an answer that is far too large. */
  async flood() {
    const manager = open();
    await manager.getToken();
    manager.clearCache();
    const before = await resident();
    // From here on the peak is counted anew.
    writeFileSync('/proc/self/clear_refs', '5');
    const error = await manager.getToken().catch((reason) => reason);
    tell({ code: error.code, message: error.message, grown: figure('VmHWM') - before });
  },

  /** Tokens, cleared and abandoned in turn, of managers that come and go. */
  async churn() {
    const rounds = async (count) => {
      for (let round = 0; round < count; round += 1) {
        const manager = open({ name: `round ${round}` });
        await Promise.all(Array.from({ length: 10 }, (_, call) => acquire(manager, call)));
        if (round % 2 === 0) await manager.close();
      }
    };
    const acquire = async (manager, call) => {
      const leaving = new AbortController();
      const left = manager.getToken({ signal: leaving.signal });
      if (call % 3 === 0) leaving.abort();
      manager.clearCache();
      await left.catch(() => {});
    };
    await rounds(100);
    const before = await resident();
    await rounds(200);
    tell({ grown: (await resident()) - before });
  },

  /** The copies of a token and of a secret that remain at several times. */
  async heap() {
    const manager = open({ clientSecret: process.env.CANARY_SECRET, backgroundRefresh: false });
    // This program and its command line contain neither.
    const marks = { token: process.env.CANARY_TOKEN_END, secret: process.env.CANARY_SECRET_END };
    const look = async () => {
      globalThis.gc();
      const text = await heap();
      return Object.fromEntries(
        Object.entries(marks).map(([name, end]) => [name, text.includes(`canary-${name}-${end}`)]),
      );
    };
    await manager.getToken();
    const held = await look();
    manager.clearCache();
    const cleared = await look();
    await manager.getToken();
    // Nobody asks meanwhile, and the end of so short a life comes before it is over.
    await delay(LIFE_MS);
    const over = await look();
    await manager.getToken();
    await manager.close();
    tell({ held, cleared, over, closed: await look() });
  },

  /** Many managers that are never closed, and then one that stays. */
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

  /** Managers that only a flight knows, whose callers wait. */
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

  /** A manager that is dropped with a refresh in progress. */
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
