'use strict';

// Arguments: token endpoint, what to do. Starts workers, which run this very file, and prints what
// became of them and of this process.

const { readFileSync, readdirSync } = require('node:fs');
const { once } = require('node:events');
const { Worker, isMainThread, parentPort, workerData } = require('node:worker_threads');
const { KeycloakTokenError, KeycloakTokenManager } = require('../..');
const { tell } = require('./program.js');

const endpoint = isMainThread ? process.argv[2] : workerData.endpoint;

function open(options = {}) {
  return new KeycloakTokenManager({
    tokenEndpoint: endpoint,
    clientId: 'test-client',
    clientSecret: 'test-secret',
    ...options,
  });
}

const start = (task) => new Worker(__filename, { workerData: { endpoint, task } });

/** The work of a worker. */
const work = {
  /** Ends by itself, with a token. */
  async token() {
    parentPort.postMessage(await open().getToken());
  },
  /** Ends by itself: its one caller left. */
  async abandon() {
    const leaving = new AbortController();
    const call = open().getToken({ signal: leaving.signal });
    parentPort.postMessage('asked');
    leaving.abort();
    await call.catch(() => {});
  },
  /** Does not end: a caller waits. */
  async wait() {
    const call = open({ clientId: 'paused' }).getToken();
    parentPort.postMessage('asked');
    await call;
  },
  /** Ends in the middle of it. */
  async exit() {
    const call = open({ clientId: 'paused' }).getToken();
    parentPort.postMessage('asked');
    setImmediate(() => process.exit());
    await call;
  },
  /** Ends by itself, with a refresh to come. */
  async refresh() {
    const manager = open();
    await manager.getToken();
    parentPort.postMessage(await manager.getToken());
  },
  /** Reports the class of a failure. */
  async fail() {
    const error = await open({ clientSecret: 'wrong' })
      .getToken()
      .catch((reason) => reason);
    const isOurs = error instanceof Error && error instanceof KeycloakTokenError;
    parentPort.postMessage({ isOurs, code: error.code });
  },
  /** Has a token, and stays until it is told to go. */
  async stay() {
    const manager = open();
    parentPort.postMessage(await manager.getToken());
    await once(parentPort, 'message');
    parentPort.postMessage((await manager.getToken()).length);
    parentPort.close();
  },
};

/** Names of this process's threads that run native code of ours. */
function nativeThreads() {
  return readdirSync('/proc/self/task')
    .map((id) => readFileSync(`/proc/self/task/${id}/comm`, 'latin1').trim())
    .filter((name) => name.startsWith('keycloak'));
}

function resident() {
  globalThis.gc();
  return process.memoryUsage.rss() / 2 ** 20;
}

async function ended(worker) {
  const [code] = await once(worker, 'exit');
  return code;
}

/** Runs one worker for each task, some at once. */
async function herd(tasks) {
  const codes = new Set();
  const one = async () => {
    for (let task = tasks.pop(); task !== undefined; task = tasks.pop()) {
      const worker = start(task);
      const end = ended(worker);
      await once(worker, 'message');
      if (task === 'wait') worker.terminate();
      codes.add(await end);
    }
  };
  await Promise.all([one(), one(), one(), one()]);
  return [...codes];
}

const several = (count) =>
  Array.from({ length: count }, (_, index) => ['wait', 'abandon', 'exit', 'refresh'][index % 4]);

/** The work of this program. */
const main = {
  /** Workers that end in the middle of something, beside a manager of the main thread. */
  async herd() {
    const manager = open();
    await manager.getToken();
    await herd(several(40));
    const before = resident();
    const codes = await herd(several(200));
    const grown = resident() - before;
    manager.clearCache();
    const token = typeof (await manager.getToken());
    tell({ codes, grown, token, threads: nativeThreads() });
  },

  /** Managers of several threads at once. */
  async share() {
    const manager = open();
    const tokens = [await manager.getToken()];
    const before = nativeThreads();
    const workers = [start('stay'), start('stay'), start('stay')];
    const ends = workers.map(ended);
    for (const message of await Promise.all(workers.map((worker) => once(worker, 'message')))) {
      tokens.push(...message);
    }
    const during = nativeThreads();
    const answers = Promise.all(workers.map((worker) => once(worker, 'message')));
    for (const worker of workers) worker.postMessage('go');
    await answers;
    const codes = await Promise.all(ends);
    const cached = (await manager.getToken()) === tokens[0];
    tell({ tokens: new Set(tokens).size, before, during, codes, cached });
  },

  /** A worker loads the package first, and is gone when the main thread makes its manager. */
  async workerFirst() {
    const worker = start('token');
    const end = ended(worker);
    const [token] = await once(worker, 'message');
    const code = await end;
    const own = await open().getToken();
    tell({ code, isOwn: typeof own === 'string' && own !== token, threads: nativeThreads() });
  },

  async failure() {
    const [message] = await once(start('fail'), 'message');
    tell(message);
  },
};

if (isMainThread) main[process.argv[3]]();
else work[workerData.task]();
