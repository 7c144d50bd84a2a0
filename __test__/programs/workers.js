'use strict';

// Arguments: token endpoint, task. Starts workers, which also run this file, and prints their
// results and this process's results. `leaks/program.js` ends many workers in other ways.

const { readFileSync, readdirSync } = require('node:fs');
const { once } = require('node:events');
const { Worker, isMainThread, parentPort, workerData } = require('node:worker_threads');
const { KeycloakTokenError } = require('../..');
const { endpoint, open, tell } = require('./program.js');

const start = (task) => new Worker(__filename, { workerData: { endpoint, task } });

/** The work of a worker. */
const work = {
  /** Sends a token to the main thread and ends. */
  async token() {
    parentPort.postMessage(await open().getToken());
  },
  /** Reports the class of a failure. */
  async fail() {
    const error = await open({ clientSecret: 'wrong' })
      .getToken()
      .catch((reason) => reason);
    const isOurs = error instanceof Error && error instanceof KeycloakTokenError;
    parentPort.postMessage({ isOurs, code: error.code });
  },
  /** Keeps its token until a message arrives. */
  async stay() {
    const manager = open();
    parentPort.postMessage(await manager.getToken());
    await once(parentPort, 'message');
    parentPort.postMessage((await manager.getToken()).length);
    parentPort.close();
  },
};

/** The names of the threads that the package's native code has started in this process. */
function nativeThreads() {
  return readdirSync('/proc/self/task')
    .map((id) => readFileSync(`/proc/self/task/${id}/comm`, 'latin1').trim())
    .filter((name) => name.startsWith('keycloak'));
}

async function ended(worker) {
  const [code] = await once(worker, 'exit');
  return code;
}

/** The work of this program. */
const main = {
  /** Managers on several threads at the same time. */
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

  /** A worker loads the package first, and ends before the main thread makes its manager. */
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
