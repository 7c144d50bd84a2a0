'use strict';

// Arguments: token endpoint, task, repetitions, what to leak on purpose. Repeats the task, and prints
// the resources of the process after each part as JSON, a line for each sample.

const { readFileSync, readdirSync } = require('node:fs');
const { once } = require('node:events');
const { Worker, isMainThread, parentPort, workerData } = require('node:worker_threads');
const { collect, endpoint, open, tell, told } = require('../programs/program.js');

const MANAGERS_AT_ONCE = 32;
const WORKERS_AT_ONCE = 4;
/** The number of parts; the first ones fill pools and caches. */
const PARTS = 50;
const WARM_UP_PARTS = 10;

const KIB_PER_MIB = 1024;
const BYTES_PER_MIB = 2 ** 20;

const [, , , task, total, leak] = process.argv;

const counts = { acquisitions: 0, invalidations: 0, aborts: 0, closes: 0, workers: 0 };
const kept = [];

/** The error of a waiting caller. */
async function freed(call) {
  const reason = await call.then(
    () => undefined,
    (error) => error,
  );
  if (reason === undefined) throw new Error('a caller that should have failed got a token');
  return reason;
}

/** A whole life of a manager. */
async function live() {
  const manager = open();
  const token = await manager.getToken();
  await manager.getToken();
  counts.invalidations += manager.invalidateToken(token) ? 1 : 0;
  const leaving = new AbortController();
  const left = freed(manager.getToken({ signal: leaving.signal }));
  leaving.abort();
  counts.aborts += (await left) === leaving.signal.reason ? 1 : 0;
  await manager.getAccessToken({ minValiditySeconds: 1 });
  counts.acquisitions += manager.snapshot().counters.acquisitions;
  if (leak === 'managers') kept.push(manager);
  await manager.close();
  counts.closes += 1;
}

/** Further tasks, now and then. */
const others = [
  /** Dropped with a token, and with nothing closed. */
  async function drop() {
    const manager = open({ clientSecret: async () => 'test-secret', name: 'dropped' });
    await manager.getToken();
  },
  /** Refused, with a log line. */
  async function refuse() {
    const lines = [];
    const log = (line) => lines.push(line);
    const logger = { error: log, warn: log, info: log, debug: log };
    const manager = open({ clientId: 'refused', logger });
    await freed(manager.getToken());
    await manager.close();
  },
  /** Closed while a caller waits. */
  async function closeInFlight() {
    const manager = open({ clientId: 'paused' });
    const call = freed(manager.getToken());
    await manager.close();
    await call;
  },
];

async function liveWithOthers(number) {
  await live();
  if (number % 8 === 0) await others[(number / 8) % others.length]();
}

/** The work of a worker, by the way in which it ends. */
const work = {
  /** By itself, with a token and a refresh to come. */
  async ends() {
    const manager = open();
    await manager.getToken();
    parentPort.postMessage((await manager.getToken()).length);
  },
  /** By itself, since its one caller left. */
  async abandons() {
    const leaving = new AbortController();
    const call = freed(open().getToken({ signal: leaving.signal }));
    parentPort.postMessage('asked');
    leaving.abort();
    await call;
  },
  /** From outside, in a flight. */
  async isTerminated() {
    await open().getToken();
    const call = open({ clientId: 'paused' }).getToken();
    parentPort.postMessage('asked');
    await call;
  },
  /** Of its own, in a flight. */
  async exits() {
    await open().getToken();
    const call = open({ clientId: 'paused' }).getToken();
    parentPort.postMessage('asked');
    setImmediate(() => process.exit(0));
    await call;
  },
};

async function startWorker(number) {
  const names = Object.keys(work);
  const name = names[number % names.length];
  const worker = new Worker(__filename, { workerData: { endpoint, name } });
  const exited = once(worker, 'exit');
  await once(worker, 'message');
  if (name === 'isTerminated') await worker.terminate();
  await exited;
  counts.workers += 1;
}

/** Repeats a task, several at once. */
async function repeat(act, atOnce, from, to) {
  let next = from;
  const one = async () => {
    while (next < to) {
      next += 1;
      await act(next);
    }
  };
  await Promise.all(Array.from({ length: atOnce }, one));
}

async function settle() {
  let rounds = 0;
  await collect(() => {
    rounds += 1;
    return rounds > 3;
  });
}

async function sample() {
  await settle();
  const { heapUsed, external, arrayBuffers } = process.memoryUsage();
  const rss = /^VmRSS:\s+(\d+) kB$/m.exec(readFileSync('/proc/self/status', 'latin1'))[1];
  return {
    rss: Number(rss) / KIB_PER_MIB,
    heap: heapUsed / BYTES_PER_MIB,
    external: external / BYTES_PER_MIB,
    buffers: arrayBuffers / BYTES_PER_MIB,
    // These always include the one that reads the folder.
    fds: readdirSync('/proc/self/fd').length,
    threads: readdirSync('/proc/self/task').length,
  };
}

const tasks = {
  managers: [liveWithOthers, MANAGERS_AT_ONCE],
  workers: [startWorker, WORKERS_AT_ONCE],
};

async function main() {
  const [act, atOnce] = tasks[task];
  // After the first round, everything that is opened once is open, the standard streams included.
  tell('started');
  await repeat(act, atOnce, 0, atOnce);
  tell(await sample());
  const start = performance.now();
  const size = Number(total) / PARTS;
  for (let part = 1; part <= PARTS; part += 1) {
    await repeat(act, atOnce, (part - 1) * size, part * size);
    if (part <= WARM_UP_PARTS) continue;
    const seconds = (performance.now() - start) / 1000;
    tell({ seconds, done: part * size, ...(await sample()) });
  }
  tell({ counts });
  // By now the endpoint and all connections are closed.
  await told();
  tell(await sample());
}

if (isMainThread) main();
else work[workerData.name]();
