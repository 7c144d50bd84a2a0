'use strict';

// Managers on several threads under a load of all kinds of calls, with an endpoint that has every
// fault. `SOAK_SECONDS` is the duration; `SOAK_SEED` repeats the script of the endpoint as far as
// time allows.

const assert = require('node:assert/strict');
const { randomInt } = require('node:crypto');
const { mkdtemp, rm } = require('node:fs/promises');
const http = require('node:http');
const { tmpdir } = require('node:os');
const path = require('node:path');
const { it } = require('node:test');
const { startFakeTokenEndpoint } = require('../../lib/testing');
const { run } = require('../programs');
const { listen } = require('../support/listen.js');
const { playScript, rotate, SECRET_MARK } = require('./faults.js');
const { random } = require('./random.js');

const SECONDS = Number(process.env.SOAK_SECONDS ?? 60);
const SEED = process.env.SOAK_SEED ?? String(randomInt(1_000_000_000));
/** A hanging test must fail. */
const LIMIT_MS = (SECONDS + 60) * 1_000;
const EXIT_MS = 1_000;
/** One of this number of calls to the API is rejected, whatever its token. */
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
  const { url: base } = await listen(t, server);
  return { url: base, wrong };
}

/** The number of requests by manager. */
function requestsByManager(requests) {
  const counts = new Map();
  for (const { parameters } of requests) {
    counts.set(parameters.manager, (counts.get(parameters.manager) ?? 0) + 1);
  }
  return counts;
}

it('a manager keeps its promises under every fault', { timeout: LIMIT_MS }, async (t) => {
  console.log(`SOAK_SEED=${SEED} SOAK_SECONDS=${SECONDS}`);
  const folder = await mkdtemp(path.join(tmpdir(), 'keycloak-token-manager-'));
  t.after(() => rm(folder, { recursive: true }));
  const fileOf = (client) => path.join(folder, client);
  const secrets = CLIENTS.map((client) => [client, `${SECRET_MARK}-${client}-0`]);
  const endpoint = await startFakeTokenEndpoint({ clients: Object.fromEntries(secrets) });
  t.after(() => endpoint.close());
  const api = await startApi(t);
  for (const client of CLIENTS) await rotate(endpoint, client, fileOf(client), 0);
  const script = playScript(endpoint, { seed: SEED, clients: CLIENTS, fileOf });

  const settings = {
    tokenEndpoint: endpoint.tokenEndpoint,
    api: api.url,
    seed: SEED,
    seconds: SECONDS,
    clients: CLIENTS,
    thread: 'main',
    files: Object.fromEntries(CLIENTS.map((client) => [client, fileOf(client)])),
  };
  const file = path.join(__dirname, 'program.js');
  const program = run(t, file, [JSON.stringify(settings)], { limitMs: LIMIT_MS });
  const { code, at, printed, printedAt, errors } = await program.ended();
  await script.stop();

  assert.equal(code, 0, errors);
  const { counts, retired, longestWaitMs, tokens } = printed.pop();
  t.diagnostic(`answers: ${JSON.stringify(script.given)}`);
  t.diagnostic(`calls: ${JSON.stringify(counts)}`);
  t.diagnostic(`${tokens} tokens of ${endpoint.requestCount} requests`);
  t.diagnostic(`the longest wait took ${Math.round(longestWaitMs)} ms`);

  for (const name of ['tokens', 'workers', 'fetched 200']) {
    assert.ok(counts[name] > 0, `${name}: none`);
  }
  assert.deepEqual(printed, [], 'violations');
  assert.deepEqual(api.wrong, []);
  assert.equal(errors, '');
  assert.ok(at - printedAt <= EXIT_MS, `it took ${at - printedAt} ms to end`);
  const sent = requestsByManager(endpoint.requests);
  for (const { name, acquisitions, retries } of retired) {
    // An acquisition makes one more attempt if its secret was out of date, and sends an attempt twice
    // if a reused connection was dead.
    const most = 2 * (2 * acquisitions + retries);
    assert.ok((sent.get(name) ?? 0) <= most, `${name}: ${sent.get(name)} requests, not ${most}`);
  }
});
