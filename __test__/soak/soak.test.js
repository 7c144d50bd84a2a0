'use strict';

// Managers on several threads under a load of all kinds of calls, for minutes, with an endpoint
// that does whatever endpoints do. `SOAK_SECONDS` says for how long, `SOAK_SEED` repeats the
// endpoint's part as far as time allows.

const assert = require('node:assert/strict');
const { spawn } = require('node:child_process');
const { randomInt } = require('node:crypto');
const { once } = require('node:events');
const { mkdtemp, rm } = require('node:fs/promises');
const http = require('node:http');
const { tmpdir } = require('node:os');
const path = require('node:path');
const { createInterface } = require('node:readline');
const { it } = require('node:test');
const { startFakeTokenEndpoint } = require('../../lib/testing');
const { playTricks, rotate, SECRET_MARK } = require('./faults.js');
const { random } = require('./random.js');

const SECONDS = Number(process.env.SOAK_SECONDS ?? (process.env.CI ? 240 : 60));
const SEED = process.env.SOAK_SEED ?? String(randomInt(1_000_000_000));
/** A hanging test must fail. */
const LIMIT_MS = (SECONDS + 60) * 1_000;
const EXIT_MS = 1_000;
/** Of how many calls to the API one is rejected, whatever its token. */
const REJECTED = 50;
const CLIENTS = ['client-a', 'client-b', 'client-c'];

/** An API that accepts the tokens of a client below its path, with few exceptions. */
async function startApi(t) {
  const chance = random(SEED, 'api');
  const wrong = [];
  const server = http.createServer(({ url, headers }, response) => {
    const claims = JSON.parse(Buffer.from(headers.authorization.split('.')[1], 'base64url'));
    if (url !== `/${claims.azp}/things`) wrong.push(`a token of ${claims.azp} for ${url}`);
    if (headers['x-backstage-user'] !== 'user:default/jane') wrong.push('the user is missing');
    response.statusCode = chance.next() < 1 / REJECTED ? 401 : 200;
    response.end('{}');
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.after(() => {
    server.close();
    server.closeAllConnections();
  });
  return { url: `http://127.0.0.1:${server.address().port}`, wrong };
}

/** Runs the program; gives what it printed, and how long it took to end after its last word. */
async function run(t, settings) {
  const program = path.join(__dirname, 'program.js');
  const child = spawn(process.execPath, [program, JSON.stringify(settings)], {
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  t.after(() => child.kill('SIGKILL'));
  const exited = once(child, 'exit').then(([code]) => ({ code, at: performance.now() }));
  let errors = '';
  child.stderr.setEncoding('utf8').on('data', (text) => {
    errors += text;
  });
  const violations = [];
  let summary;
  let saidAt;
  for await (const line of createInterface({ input: child.stdout })) {
    const { violation, ...rest } = JSON.parse(line);
    saidAt = performance.now();
    if (violation === undefined) summary = rest;
    else violations.push(violation);
  }
  const { code, at } = await exited;
  return { code, errors, violations, summary, tookToEndMs: at - saidAt };
}

/** How many requests each manager sent. */
function requestsByManager(requests) {
  const counts = new Map();
  for (const { parameters } of requests) {
    counts.set(parameters.manager, (counts.get(parameters.manager) ?? 0) + 1);
  }
  return counts;
}

function print(title, counts) {
  console.log(title);
  for (const [name, count] of Object.entries(counts).sort(([a], [b]) => (a < b ? -1 : 1))) {
    console.log(`  ${name.padEnd(28)} ${String(count).padStart(8)}`);
  }
}

it('nothing goes wrong while everything does', { timeout: LIMIT_MS }, async (t) => {
  console.log(`SOAK_SEED=${SEED} SOAK_SECONDS=${SECONDS}`);
  const folder = await mkdtemp(path.join(tmpdir(), 'keycloak-token-manager-'));
  t.after(() => rm(folder, { recursive: true }));
  const fileOf = (client) => path.join(folder, client);
  const secrets = CLIENTS.map((client) => [client, `${SECRET_MARK}-${client}-0`]);
  const endpoint = await startFakeTokenEndpoint({ clients: Object.fromEntries(secrets) });
  t.after(() => endpoint.close());
  const api = await startApi(t);
  for (const client of CLIENTS) await rotate(endpoint, client, fileOf(client), 0);
  const tricks = playTricks(endpoint, { seed: SEED, clients: CLIENTS, fileOf });

  const seen = await run(t, {
    tokenEndpoint: endpoint.tokenEndpoint,
    api: api.url,
    seed: SEED,
    seconds: SECONDS,
    clients: CLIENTS,
    thread: 'main',
    files: Object.fromEntries(CLIENTS.map((client) => [client, fileOf(client)])),
  });
  await tricks.stop();

  assert.equal(seen.code, 0, seen.errors);
  const { counts, retired, longestWaitMs, tokens } = seen.summary;
  print('answers', tricks.given);
  print('calls and what came of them', counts);
  const perMinute = (endpoint.requestCount * 60) / SECONDS;
  print('in all', {
    'calls a second': Math.round(counts.calls / SECONDS),
    'token requests': endpoint.requestCount,
    'token requests a minute': Math.round(perMinute),
    'different tokens': tokens,
    'longest wait, ms': Math.round(longestWaitMs),
    'end of the process, ms': Math.round(seen.tookToEndMs),
  });

  for (const name of ['tokens', 'workers', 'fetched 200']) {
    assert.ok(counts[name] > 0, `${name}: none`);
  }
  assert.deepEqual(seen.violations, []);
  assert.deepEqual(api.wrong, []);
  assert.equal(seen.errors, '');
  assert.ok(seen.tookToEndMs <= EXIT_MS, `it took ${seen.tookToEndMs} ms to end`);
  const sent = requestsByManager(endpoint.requests);
  for (const { name, acquisitions, retries } of retired) {
    // An acquisition may make one more attempt, if its secret was out of date; each attempt may be
    // made twice, if a reused connection was dead.
    const most = 2 * (2 * acquisitions + retries);
    assert.ok((sent.get(name) ?? 0) <= most, `${name}: ${sent.get(name)} requests, not ${most}`);
  }
});
