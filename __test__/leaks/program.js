'use strict';

// Arguments: token endpoint, task, repetitions, the resource to leak on purpose. Repeats the task,
// and prints the process's resources after each part, as one line of JSON.

const assert = require('node:assert/strict');
const { readFileSync, readdirSync } = require('node:fs');
const { once } = require('node:events');
const { Worker, isMainThread, parentPort, workerData } = require('node:worker_threads');
const { collect, endpoint, open, tell, told } = require('../programs/program.js');

/** The number of parts; the first ones fill pools and caches. */
const PARTS = 50;
const WARM_UP_PARTS = 10;
const KIB_PER_MIB = 1024;

const [, , , task, total, leak] = process.argv;
const kept = [];

/** Uses a manager for its whole life. */
async function live() {
  const manager = open();
  const token = await manager.getToken();
  await manager.getToken();
  assert.ok(manager.invalidateToken(token));
  const leaving = new AbortController();
  const left = manager.getToken({ signal: leaving.signal });
  leaving.abort();
  await assert.rejects(left, leaving.signal.reason);
  await manager.getAccessToken({ minValiditySeconds: 1 });
  assert.equal(manager.snapshot().counters.acquisitions, 2);
  if (leak === 'managers') kept.push(manager);
  await manager.close();
}

/** Further tasks, which the program runs occasionally. */
const others = [
  async function dropWithToken() {
    const manager = open({ clientSecret: async () => 'test-secret', name: 'dropped' });
    await manager.getToken();
  },
  async function refuseWithLogLine() {
    const lines = [];
    const log = (line) => lines.push(line);
    const logger = { error: log, warn: log, info: log, debug: log };
    const manager = open({ clientId: 'refused', logger });
    await assert.rejects(manager.getToken(), { code: 'ERR_KEYCLOAK_OAUTH' });
    await manager.close();
  },
  async function closeInFlight() {
    const manager = open({ clientId: 'paused' });
    const call = assert.rejects(manager.getToken(), { code: 'ERR_KEYCLOAK_CLOSED' });
    await manager.close();
    await call;
  },
];

async function liveWithOthers(number) {
  await live();
  if (number % 8 === 0) await others[(number / 8) % others.length]();
}

/** The work of a worker, keyed by the way in which it ends. */
const work = {
  /** Ends by itself, with a held token and a scheduled refresh. */
  async ends() {
    const manager = open();
    await manager.getToken();
    parentPort.postMessage((await manager.getToken()).length);
  },
  /** Ends by itself, because its only caller aborted the call. */
  async abandons() {
    const leaving = new AbortController();
    const call = assert.rejects(open().getToken({ signal: leaving.signal }));
    parentPort.postMessage('asked');
    leaving.abort();
    await call;
  },
  /** Waits in a flight until the main thread terminates it. */
  async isTerminated() {
    await startFlight();
  },
  /** Calls `process.exit()` during a flight. */
  async exits() {
    await startFlight();
    setImmediate(() => process.exit(0));
  },
};

/** Starts a flight and leaves its caller waiting. */
async function startFlight() {
  await open().getToken();
  open({ clientId: 'paused' }).getToken();
  parentPort.postMessage('asked');
}

async function startWorker(number) {
  const names = Object.keys(work);
  const name = names[number % names.length];
  const worker = new Worker(__filename, { workerData: { endpoint, name } });
  const exited = once(worker, 'exit');
  await once(worker, 'message');
  if (name === 'isTerminated') await worker.terminate();
  await exited;
}

/** Repeats a task, with several repetitions at the same time. */
async function repeat([act, atOnce], from, to) {
  let next = from;
  const one = async () => {
    while (next < to) {
      next += 1;
      await act(next);
    }
  };
  await Promise.all(Array.from({ length: atOnce }, one));
}

async function sample() {
  let rounds = 0;
  await collect(() => {
    rounds += 1;
    return rounds > 3;
  });
  const rss = /^VmRSS:\s+(\d+) kB$/m.exec(readFileSync('/proc/self/status', 'latin1'))[1];
  return {
    rss: Number(rss) / KIB_PER_MIB,
    // The count always includes the descriptor that reads the folder.
    fds: readdirSync('/proc/self/fd').length,
    threads: readdirSync('/proc/self/task').length,
  };
}

/** The tasks, each with its number of concurrent repetitions. */
const tasks = { managers: [liveWithOthers, 32], workers: [startWorker, 4] };

async function main() {
  const [, atOnce] = tasks[task];
  // After the first round, all resources that the process opens only once are open, including the
  // standard streams.
  tell('started');
  await repeat(tasks[task], 0, atOnce);
  tell(await sample());
  const size = Number(total) / PARTS;
  for (let part = 1; part <= PARTS; part += 1) {
    await repeat(tasks[task], (part - 1) * size, part * size);
    if (part > WARM_UP_PARTS) tell(await sample());
  }
  tell('done');
  // By now the endpoint and all connections are closed.
  await told();
  tell(await sample());
}

if (isMainThread) main();
else work[workerData.name]();
