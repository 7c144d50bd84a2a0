'use strict';

// Argument: settings as JSON. Uses managers on this thread and on workers that come and go, and
// checks every result; prints violations at once, and a summary at the end.

const { once } = require('node:events');
const { readFile } = require('node:fs/promises');
const { setTimeout: delay } = require('node:timers/promises');
const { inspect } = require('node:util');
const { Worker, isMainThread, parentPort, workerData } = require('node:worker_threads');
const { KeycloakTokenError, KeycloakTokenManager } = require('../..');
const { block, tell } = require('../programs/program.js');
const { SECRET_MARK } = require('./faults.js');
const { random } = require('./random.js');

const REQUEST_TIMEOUT_MS = 2_000;
/** Allowed beyond a deadline and the time for which the event loop was blocked. */
const SLACK_MS = 1_000;
/** From the arrival of a token to the check of its expiry, on a busy machine. */
const LOOK_MS = 500;
/** Servers count in whole seconds. */
const ROUNDED_MS = 1_000;
/** From this life on, the manager keeps back at least as much as a server rounds off. */
const EXACT_LIFE_S = 4;
const EXPECTED = /^ERR_KEYCLOAK_(OAUTH|HTTP|PROTOCOL|NETWORK|TIMEOUT|CREDENTIAL)$/;

/** The interval of calls, and the most calls by a caller at a time. */
const TICK_MS = 20;
const MOST_CALLS_A_TICK = 3;
/** A tick that is later than this was blocked. */
const LATE_MS = 10;
const BLOCK_AFTER_MS = [1_000, 4_000];
const WORKERS_AT_ONCE = 2;
const CALLERS_IN_A_WORKER = 2;

const settings = isMainThread ? JSON.parse(process.argv[2]) : workerData;
const { tokenEndpoint, api, files, thread } = settings;
const clients = Object.keys(files);
const chance = random(settings.seed, thread);
/** The counts of this thread. */
const counts = {};
let blockedBeforeMs = 0;
let lastTick = 0;

const count = (name) => {
  counts[name] = (counts[name] ?? 0) + 1;
};

/** The time for which the event loop was blocked, a block that has just ended included. */
function blockedMs() {
  const late = performance.now() - lastTick - TICK_MS;
  return blockedBeforeMs + (late > LATE_MS ? late : 0);
}

/** The manager of each token. */
const owners = new Map();
const totals = {};

/** Records an event of any thread on the main thread. */
function note(event) {
  if (event.violation !== undefined) tell(event);
  if (event.token !== undefined) {
    const owner = owners.get(event.token) ?? event.manager;
    owners.set(event.token, owner);
    if (owner !== event.manager) tell({ violation: `${event.manager} has a token of ${owner}` });
  }
  for (const [name, number] of Object.entries(event.counts ?? {})) {
    totals[name] = (totals[name] ?? 0) + number;
  }
}

const hand = isMainThread ? note : (event) => parentPort.postMessage(event);
const report = (violation) => hand({ violation });

function checkHidden(text, where) {
  if (text.includes(SECRET_MARK)) report(`a secret in ${where}`);
  if (text.includes('eyJ')) report(`a token in ${where}`);
}

/** The result of a secret function, which is not always valid. */
async function secretOf(file) {
  const mood = chance.weighted({ well: 90, late: 7, fails: 2, never: 1 });
  if (mood === 'late') await delay(chance.between(10, 500));
  if (mood === 'fails') throw new Error('no secret today');
  if (mood === 'never') await new Promise(() => {});
  return (await readFile(file, 'utf8')).trim();
}

const CREDENTIALS = [
  (file) => ({ clientSecretFile: file }),
  (file) => ({ clientSecretFile: file, clientAuthentication: 'client_secret_basic' }),
  (file) => ({ clientSecret: () => secretOf(file) }),
  (file) => ({ clientSecretFile: file, backgroundRefresh: false }),
];

/** The calls and their weights. */
const CALLS = {
  plain: [600, (user) => user.token()],
  object: [200, (user) => user.token(undefined, 'getAccessToken')],
  minimum: [9, (user) => user.token({ minValiditySeconds: chance.between(0, 6) })],
  forced: [3, (user) => user.token({ forceRefresh: true })],
  abort: [40, (user) => user.leave()],
  fetch: [60, (user) => user.fetch()],
  invalidate: [
    10,
    async ({ manager, last }) => {
      manager.invalidateToken(last);
      if (manager.invalidateToken('another')) throw new Error('dropped for another token');
    },
  ],
  clear: [2, async (user) => user.manager.clearCache()],
  look: [
    10,
    async ({ manager }) =>
      checkHidden(JSON.stringify(manager.snapshot()) + inspect(manager), 'a look'),
  ],
};
const WEIGHTS = Object.fromEntries(Object.entries(CALLS).map(([name, [weight]]) => [name, weight]));

/** The user of one manager, who checks every result. */
class User {
  last = '';
  #isClosed = false;

  constructor(name, client, credential) {
    this.name = name;
    this.client = client;
    const log = (line) => checkHidden(line, 'a log line');
    this.manager = new KeycloakTokenManager({
      tokenEndpoint,
      clientId: client,
      name,
      requestTimeoutMs: REQUEST_TIMEOUT_MS,
      resource: { baseUrl: `${api}/${client}/` },
      logger: { error: log, warn: log, info: log, debug: log },
      ...credential(files[client]),
    });
    count('managers');
  }

  close() {
    this.#isClosed = true;
    return this.manager.close();
  }

  leave() {
    const leaving = new AbortController();
    if (chance.next() < 0.25) leaving.abort();
    else setTimeout(() => leaving.abort(), chance.between(0, 100));
    return this.token({ signal: leaving.signal });
  }

  async token(options, method = 'getToken') {
    const asked = Date.now();
    await this.#check(REQUEST_TIMEOUT_MS, options?.signal, async () => {
      const result = await this.manager[method](options);
      this.#checkToken(result.token ?? result, asked);
      count('tokens');
    });
  }

  fetch() {
    return this.#check(2 * REQUEST_TIMEOUT_MS, undefined, async () => {
      const init = { backstageUser: 'user:default/jane' };
      const response = await this.manager.fetch('things', init);
      await response.arrayBuffer();
      count(`fetched ${response.status}`);
    });
  }

  /** Checks the error of a call and its time, apart from that of a blocked event loop. */
  async #check(limitMs, signal, call) {
    const before = blockedMs();
    const begun = performance.now();
    await call().catch((error) => {
      if (signal?.aborted && error === signal.reason) count('left');
      else this.#checkError(error);
    });
    const blocked = blockedMs() - before;
    const waited = performance.now() - begun - blocked;
    // A token that expired in a blocked event loop causes a second request.
    if (waited > (blocked > 0 ? 2 : 1) * limitMs + SLACK_MS) {
      throw new Error(`waited for ${waited} ms, blocked for ${blocked} ms`);
    }
  }

  #checkError(error) {
    const isExpected =
      EXPECTED.test(error.code) || (this.#isClosed && error.code === 'ERR_KEYCLOAK_CLOSED');
    if (!(error instanceof KeycloakTokenError) || !isExpected) throw error;
    count(error.code);
    checkHidden(inspect(error), 'an error');
  }

  #checkToken(token, asked) {
    this.last = token;
    const { iat, exp, azp, jti } = JSON.parse(Buffer.from(token.split('.')[1], 'base64url'));
    if (azp !== this.client) throw new Error(`a token of ${azp}`);
    hand({ token: jti, manager: this.name });
    // A token that had expired on arrival is for waiting callers alone.
    if (exp <= iat) return;
    const end = exp * 1_000 + (exp - iat < EXACT_LIFE_S ? ROUNDED_MS : 0);
    if (asked >= end) throw new Error(`over for ${asked - end} ms when it was asked for`);
    const now = Date.now();
    if (now >= end + ROUNDED_MS + LOOK_MS) throw new Error(`over for ${now - end} ms on arrival`);
  }
}

/** A caller that uses managers, one after the other; now and then it closes or drops one. */
function startCaller(index) {
  // Two callers for each client: equal options, and never one token.
  const client = clients[Math.floor(index / 2) % clients.length];
  const pending = new Set();
  let number = 0;
  let user;
  const open = () => {
    number += 1;
    const credential = CREDENTIALS[index % CREDENTIALS.length];
    user = new User(`${thread}-${index}-${number}`, client, credential);
  };
  const renew = {
    close: async (closing) => {
      open();
      await closing.close();
    },
    drop: async () => open(),
  };
  open();
  return {
    call() {
      count('calls');
      const name = chance.weighted({ ...WEIGHTS, close: 3, drop: 1 });
      const { name: manager } = user;
      const call = (renew[name] ?? CALLS[name][1])(user)
        .catch((error) => report(`${name} of ${manager}: ${error.stack}`))
        .finally(() => pending.delete(call));
      pending.add(call);
    },
    async end() {
      await Promise.all(pending);
      await user.close();
    },
  };
}

/** Lets callers call for so long, blocks the event loop now and then, and waits for the rest. */
async function load(callerCount, ms) {
  const callers = Array.from({ length: callerCount }, (_, index) => startCaller(index));
  const end = performance.now() + ms;
  lastTick = performance.now();
  let nextBlock = lastTick + chance.between(...BLOCK_AFTER_MS);
  const ticking = setInterval(() => {
    blockedBeforeMs = blockedMs();
    lastTick = performance.now();
    if (lastTick >= end) return;
    for (const caller of callers) {
      for (let calls = chance.between(0, MOST_CALLS_A_TICK); calls >= 1; calls -= 1) caller.call();
    }
    if (lastTick < nextBlock) return;
    block(chance.pick([20, 100, 400, 1_500]));
    nextBlock = performance.now() + chance.between(...BLOCK_AFTER_MS);
  }, TICK_MS);
  await delay(ms);
  if (isMainThread || chance.next() < 0.5) {
    await Promise.all(callers.map((caller) => caller.end()));
  }
  clearInterval(ticking);
  hand({ counts });
}

/** Workers, one after the other, each of which ends in its own way. */
async function runWorkers(line, end) {
  for (let round = 1; performance.now() < end; round += 1) {
    const ms = chance.between(300, 4_000);
    const way = chance.pick(['ends', 'exits', 'is terminated']);
    const name = `worker ${line}.${round}`;
    const worker = new Worker(__filename, { workerData: { ...settings, thread: name, ms, way } });
    worker.on('message', note);
    worker.on('error', (error) => report(`${name}: ${error.stack}`));
    const exited = once(worker, 'exit');
    if (way === 'is terminated') {
      await delay(ms);
      await worker.terminate();
    }
    await exited;
    note({ counts: { workers: 1, [`workers: ${way}`]: 1 } });
  }
}

async function main() {
  const ms = settings.seconds * 1_000;
  const end = performance.now() + ms;
  const lines = Array.from({ length: WORKERS_AT_ONCE }, (_, line) => runWorkers(line, end));
  await Promise.all([load(2 * clients.length, ms), ...lines]);
  tell({ counts: totals, tokens: owners.size });
}

async function work() {
  const loading = load(CALLERS_IN_A_WORKER, settings.ms);
  if (settings.way !== 'exits') return loading;
  await delay(settings.ms - chance.between(0, 200));
  hand({ counts });
  setImmediate(() => process.exit(0));
}

if (isMainThread) main();
else work();
