'use strict';

// Argument: settings as JSON. Uses managers on this thread and on short-lived workers, and checks
// every result; prints violations immediately, and a summary at the end.

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
/** The tolerance for a deadline, in addition to the time for which the event loop was blocked. */
const SLACK_MS = 1_000;
/** The time between a token's arrival and the check of its expiry, on a busy machine. */
const LOOK_MS = 500;
/** The rounding error of a server that counts in whole seconds. */
const ROUNDED_MS = 1_000;
/** From this lifetime on, the manager's reserve before the expiry covers the server's rounding. */
const EXACT_LIFE_S = 4;
const EXPECTED = /^ERR_KEYCLOAK_(OAUTH|HTTP|PROTOCOL|NETWORK|TIMEOUT|CREDENTIAL)$/;

const CALLERS_OF_A_MANAGER = 3;
const PAUSE_MS = [0, 40];
/**
 * The time for which the program uses a manager, and the time until it blocks the event loop again.
 */
const LIFE_MS = [1_000, 10_000];
const BLOCK_AFTER_MS = [1_000, 4_000];
const WORKERS_AT_ONCE = 2;
const MANAGERS_OF_A_WORKER = 2;

const settings = isMainThread ? JSON.parse(process.argv[2]) : workerData;
const { tokenEndpoint, api, files, thread } = settings;
const clients = Object.keys(files);
const chance = random(settings.seed, thread);
const counts = {};
/** The time for which the event loop has been blocked. */
let blockedMs = 0;

const count = (name, number = 1) => {
  counts[name] = (counts[name] ?? 0) + number;
};

/** The name of each token's manager. */
const owners = new Map();

/** Records an event of any thread on the main thread. */
function note({ violation, token, manager, counts: others = {} }) {
  if (violation !== undefined) tell({ violation });
  if (token !== undefined) {
    const owner = owners.get(token) ?? manager;
    owners.set(token, owner);
    if (owner !== manager) tell({ violation: `${manager} has a token of ${owner}` });
  }
  for (const [name, number] of Object.entries(others)) count(name, number);
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

const WEIGHTS = {
  plain: 600,
  object: 200,
  fetch: 60,
  leaves: 30,
  left: 10,
  minimum: 10,
  invalidate: 10,
  look: 10,
  forced: 3,
  clear: 2,
};
/** The calls, some of which return a token. */
const CALLS = {
  plain: ({ manager }) => manager.getToken(),
  object: async ({ manager }) => (await manager.getAccessToken()).token,
  async fetch({ manager }) {
    const response = await manager.fetch('things', { backstageUser: 'user:default/jane' });
    await response.arrayBuffer();
    count(`fetched ${response.status}`);
  },
  leaves({ manager }) {
    const signal = AbortSignal.timeout(chance.between(0, 100));
    return manager.getToken({ signal });
  },
  left: ({ manager }) => manager.getToken({ signal: AbortSignal.abort() }),
  minimum: ({ manager }) => manager.getToken({ minValiditySeconds: chance.between(0, 6) }),
  invalidate({ manager, last }) {
    manager.invalidateToken(last);
    if (manager.invalidateToken('another')) report('a token was dropped for another one');
  },
  look: ({ manager }) => {
    checkHidden(JSON.stringify(manager.snapshot()) + inspect(manager), 'a look');
  },
  forced: ({ manager }) => manager.getToken({ forceRefresh: true }),
  clear: ({ manager }) => manager.clearCache(),
};

/** Makes a random call; checks its token or its error, and its time. */
async function call(life) {
  const name = chance.weighted(WEIGHTS);
  count('calls');
  const [asked, begun, blockedBefore] = [Date.now(), performance.now(), blockedMs];
  try {
    const token = await CALLS[name](life);
    if (typeof token === 'string') checkToken(token, asked, life);
  } catch (error) {
    checkError(error, name, life);
  }
  const blocked = blockedMs - blockedBefore;
  const waited = performance.now() - begun - blocked;
  // A fetch may obtain a second token, and so may a call if its token expired while the event loop
  // was blocked.
  const requests = name === 'fetch' || blocked > 0 ? 2 : 1;
  if (waited > requests * REQUEST_TIMEOUT_MS + SLACK_MS) {
    report(`${name} of ${life.name} waited for ${waited} ms, blocked for ${blocked} ms`);
  }
}

function checkToken(token, asked, life) {
  count('tokens');
  life.last = token;
  const { iat, exp, azp, jti } = JSON.parse(Buffer.from(token.split('.')[1], 'base64url'));
  if (azp !== life.client) report(`${life.name} has a token of ${azp}`);
  hand({ token: jti, manager: life.name });
  // Only waiting callers get a token that had expired on arrival.
  if (exp <= iat) return;
  const end = exp * 1_000 + (exp - iat < EXACT_LIFE_S ? ROUNDED_MS : 0);
  if (asked >= end) report(`over for ${asked - end} ms when ${life.name} was asked`);
  const late = Date.now() - end;
  if (late >= ROUNDED_MS + LOOK_MS) report(`over for ${late} ms when ${life.name} answered`);
}

function checkError(error, name, life) {
  const isLeft = /^leaves$|^left$/.test(name) && /^(Timeout|Abort)Error$/.test(error.name);
  if (isLeft) return count('left');
  const isExpected =
    EXPECTED.test(error.code) || (life.isClosed && error.code === 'ERR_KEYCLOAK_CLOSED');
  if (!(error instanceof KeycloakTokenError) || !isExpected) {
    report(`${name} of ${life.name}: ${error.stack}`);
  }
  count(error.code);
  // The manager passes on the value that a secret function threw, unchanged.
  checkHidden(inspect(error), 'an error');
}

/**
 * Uses managers one after the other until the end, and closes most of them, some with calls in
 * progress.
 */
async function useManagers(index, end) {
  // Each client has two managers at a time, which never share a token.
  const client = clients[Math.floor(index / 2) % clients.length];
  for (let number = 1; performance.now() < end; number += 1) {
    const name = `${thread}-${index}-${number}`;
    const log = (line) => checkHidden(line, 'a log line');
    const manager = new KeycloakTokenManager({
      tokenEndpoint,
      clientId: client,
      name,
      requestTimeoutMs: REQUEST_TIMEOUT_MS,
      resource: { baseUrl: `${api}/${client}/` },
      logger: { error: log, warn: log, info: log, debug: log },
      ...CREDENTIALS[index % CREDENTIALS.length](files[client]),
    });
    count('managers');
    const life = { manager, client, name, last: '', isClosed: false };
    const over = Math.min(end, performance.now() + chance.between(...LIFE_MS));
    const callAgain = async () => {
      while (performance.now() < over) {
        await call(life);
        await delay(chance.between(...PAUSE_MS));
      }
    };
    const callers = Array.from({ length: CALLERS_OF_A_MANAGER }, callAgain);
    const way = chance.weighted({ closeInFlight: 6, close: 3, drop: 1 });
    if (way === 'closeInFlight') await delay(over - performance.now());
    else await Promise.all(callers);
    life.isClosed = true;
    if (way !== 'drop') await manager.close();
    await Promise.all(callers);
  }
}

/** Uses managers for this time, and blocks the event loop occasionally. */
async function load(managers, ms) {
  const end = performance.now() + ms;
  const blocking = (async () => {
    while (performance.now() < end) {
      await delay(Math.min(chance.between(...BLOCK_AFTER_MS), end - performance.now()));
      const begun = performance.now();
      block(chance.pick([20, 100, 400, 1_500]));
      blockedMs += performance.now() - begun;
    }
  })();
  const users = Array.from({ length: managers }, (_, index) => useManagers(index, end));
  await Promise.all([blocking, ...users]);
  hand({ counts });
}

/** Runs workers one after the other, which end in different ways. */
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
    count(`workers: ${way}`);
  }
}

async function main() {
  const ms = settings.seconds * 1_000;
  const end = performance.now() + ms;
  const lines = Array.from({ length: WORKERS_AT_ONCE }, (_, line) => runWorkers(line, end));
  await Promise.all([load(2 * clients.length, ms), ...lines]);
  tell({ counts, tokens: owners.size });
}

async function work() {
  const loading = load(MANAGERS_OF_A_WORKER, settings.ms);
  if (settings.way !== 'exits') return loading;
  await delay(settings.ms - chance.between(0, 200));
  hand({ counts });
  setImmediate(() => process.exit(0));
}

if (isMainThread) main();
else work();
