'use strict';

// Runs every fault on both sides, with a held token that is due for replacement and without a
// token. Each side gets a call every 10 ms, and the results describe what each caller received.

const { randomBytes } = require('node:crypto');
const fs = require('node:fs');
const os = require('node:os');
const path = require('node:path');
const { setTimeout: delay } = require('node:timers/promises');
const { startFakeTokenEndpoint } = require('../../lib/testing');
const { RemoteProcess } = require('../remote.js');
const { buildShim, shimmed } = require('./shim.js');
const { BUFFER_SECONDS, LIFE_SECONDS, REQUEST_TIMEOUT_MS, STALE_AGE_MS } = require('./table.js');

const SIDES = ['ours', 'plain'];
const SITUATIONS = ['held', 'none'];
const CLIENT_ID = 'faults';
const AT_ONCE = 8;
const FAULT_MS = 2_000;
/** The time limits for the first token after the fault. The plain class may never get one. */
const RECOVERY_LIMITS_MS = { ours: 20_000, plain: 5_000 };
/** The time limit for a process to end, on a busy machine. */
const EXIT_LIMIT_MS = 5_000;
/** The time limit after which the parent kills a process, which fails its row. */
const CELL_LIMIT_MS = 60_000;

/**
 * Starts all rows. Returns `done`, and `results`, a map from each row's name to a promise of its
 * figures, which are keyed by situation and side. A heavy row runs after the others, because its
 * endpoint would delay the other rows.
 *
 * @param {typeof import('./table.js').rows} rows
 */
function startTable(rows) {
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'keycloak-faults-'));
  const shim = buildShim(folder);
  const queues = new Array(AT_ONCE).fill(Promise.resolve());
  /** Appends work to the queues in turn; each queue runs one piece of work at a time. */
  const enqueue = (work) => {
    const result = queues[0].then(work);
    queues.push(result.catch(() => {}));
    queues.shift();
    return result;
  };
  const run = (row, situation, sides) =>
    enqueue(() => runCell(row, situation, sides, { folder, shim }));
  const results = new Map();
  const start = (row, before) =>
    results.set(
      row.name,
      before.then(() => runRow(row, run)),
    );
  for (const row of rows.filter(({ isHeavy }) => !isHeavy)) start(row, Promise.resolve());
  const light = Promise.allSettled(results.values());
  for (const row of rows.filter(({ isHeavy }) => isHeavy)) start(row, light);
  const done = Promise.allSettled(results.values()).then(() =>
    fs.rmSync(folder, { recursive: true, force: true }),
  );
  return { results, done };
}

async function runRow(row, run) {
  const groups = row.isHeavy || row.exits ? SIDES.map((side) => [side]) : [SIDES];
  const result = {};
  const runs = (row.situations ?? SITUATIONS).flatMap((situation) => {
    result[situation] = {};
    return groups.map((sides) =>
      run(row, situation, sides).then((figures) => Object.assign(result[situation], figures)),
    );
  });
  await Promise.all(runs);
  return result;
}

async function runCell(row, situation, sides, { folder, shim }) {
  const canary = `canary-${randomBytes(8).toString('hex')}`;
  const [secret, newSecret] = [`${canary}-old`, `${canary}-new`];
  const file = (name) => path.join(folder, `${canary}-${name}`);
  const files = Object.fromEntries(SIDES.map((side) => [side, file(side)]));
  for (const side of sides) fs.writeFileSync(files[side], secret);

  const expiresIn = row.expiresIn ?? LIFE_SECONDS;
  const endpoints = {};
  for (const side of sides) {
    const clients = { [CLIENT_ID]: secret };
    endpoints[side] = await startFakeTokenEndpoint({ clients, expiresIn });
  }
  const program = path.join(__dirname, 'child.js');
  const client = new RemoteProcess(program, {
    env: shimmed(shim, file('orders')),
    openFiles: row.openFiles,
    limitMs: CELL_LIMIT_MS,
  });
  const cell = {
    situation,
    endpoints,
    client,
    clientId: CLIENT_ID,
    canary,
    secret,
    newSecret,
    files,
  };
  try {
    const { host, credential = 'string', bufferSeconds = BUFFER_SECONDS, abortAfterMs } = row;
    const url = ({ tokenEndpoint }) =>
      host ? tokenEndpoint.replace('127.0.0.1', host) : tokenEndpoint;
    await client.ask('start', {
      urls: Object.fromEntries(sides.map((side) => [side, url(endpoints[side])])),
      clientId: CLIENT_ID,
      canary,
      secret,
      files,
      credential,
      bufferSeconds,
      abortAfterMs,
      requestTimeoutMs: REQUEST_TIMEOUT_MS,
    });
    return await meet(row, cell);
  } finally {
    client.kill();
    await client.ended();
    await Promise.all(Object.values(endpoints).map((endpoint) => endpoint.close()));
  }
}

/** Runs the fault from its beginning to its end. */
async function meet(row, cell) {
  const { situation, endpoints, client } = cell;
  const sides = Object.keys(endpoints);
  if (situation === 'held' || row.isWarm) await client.ask('prepare');
  if (situation === 'none') await client.ask('forget');
  const before = requestCounts(endpoints);
  const arrived = (count = 1) =>
    Promise.all(sides.map((side) => endpoints[side].waitForRequests(before[side] + count)));

  await row.begin(cell);
  const isAged = situation === 'held' && row.ages !== false;
  await client.ask('call', isAged ? (row.ageMs ?? STALE_AGE_MS) : 0);
  const under = delay(row.lastsMs ?? FAULT_MS);
  await row.during?.({ ...cell, arrived });
  if (!row.exits) {
    await under;
    await row.end?.(cell);
    await client.ask('recovered', RECOVERY_LIMITS_MS);
  }
  const figures = await client.ask('finish', { atOnce: row.exits === true });
  const finished = performance.now();
  const { how, output } = await client.ended();
  const exitMs = performance.now() - finished;
  const after = requestCounts(endpoints);
  for (const side of sides) {
    const requests = after[side] - before[side];
    Object.assign(figures[side], { requests, exitMs, how });
    if (output.includes(cell.canary)) figures[side].shown.push('output');
  }
  return figures;
}

function requestCounts(endpoints) {
  const entries = Object.entries(endpoints);
  return Object.fromEntries(entries.map(([side, { requestCount }]) => [side, requestCount]));
}

/** Describes how a side violates our contract. */
function brokenPromises(row, situation, figures) {
  const { lost, hung, expired, shown, failures, pending, isRenewed, how, exitMs } = figures;
  const codes = Object.keys(failures);
  const mayFail = situation === 'none' ? row.none : [];
  const wrong = codes.filter((code) => !mayFail.includes(code));
  const missing = mayFail.filter((code) => !codes.includes(code));
  const loses = lost > 0 && !row.mayRenew?.includes(situation);
  return [
    [loses, `${lost} callers did not immediately get the valid held token`],
    [hung > 0, `${hung} callers waited past their deadline`],
    [expired > 0, `${expired} callers got an expired token`],
    [shown.length > 0, `the side showed a secret in: ${shown.join(', ')}`],
    [wrong.length > 0, `failures outside the contract: ${JSON.stringify(failures)}`],
    [missing.length > 0, `no caller got ${missing.join(' or ')}`],
    [pending > 0 && !row.exits, `${pending} callers got no result`],
    [!isRenewed && !row.exits, 'the side got no new token after the fault'],
    [how !== 'code 0', `the process ended with ${how}`],
    [exitMs > EXIT_LIMIT_MS, `the process took ${Math.round(exitMs)} ms to end`],
  ]
    .filter(([isBroken]) => isBroken)
    .map(([, sentence]) => sentence);
}

module.exports = { SIDES, SITUATIONS, brokenPromises, startTable };
