'use strict';

// Managers on several threads under a load of all kinds of calls, with an endpoint that shows every
// fault. `SOAK_SECONDS` sets the duration; `SOAK_SEED` repeats the endpoint's script, except for
// timing.

const assert = require('node:assert/strict');
const { randomInt } = require('node:crypto');
const path = require('node:path');
const { it } = require('node:test');
const { run } = require('../programs');
const { startApi } = require('../support/api-server.js');
const { makeFile } = require('../support/files.js');
const { startEndpoint } = require('../support/manager.js');
const { playScript, rotate, SECRET_MARK } = require('./faults.js');
const { random } = require('./random.js');

const SECONDS = Number(process.env.SOAK_SECONDS ?? 60);
const SEED = process.env.SOAK_SEED ?? String(randomInt(1_000_000_000));
/** A hanging test must fail. */
const LIMIT_MS = (SECONDS + 60) * 1_000;
const EXIT_MS = 1_000;
/** The API rejects one call in this many, even with a valid token. */
const REJECTED = 50;
const CLIENTS = ['client-a', 'client-b', 'client-c'];

it('a manager keeps its promises under every fault', { timeout: LIMIT_MS }, async (t) => {
  console.log(`SOAK_SEED=${SEED} SOAK_SECONDS=${SECONDS}`);
  const secrets = CLIENTS.map((client) => [client, `${SECRET_MARK}-${client}-0`]);
  const endpoint = await startEndpoint(t, { clients: Object.fromEntries(secrets) });
  const files = Object.fromEntries(CLIENTS.map((client) => [client, makeFile(t, '')]));
  for (const client of CLIENTS) await rotate(endpoint, client, files[client], 0);

  // The API expects a client's tokens below that client's path, and rejects a few of them.
  const chance = random(SEED, 'api');
  const wrong = [];
  const api = await startApi(t, ({ url, headers }, response) => {
    const { azp } = JSON.parse(Buffer.from(headers.authorization.split('.')[1], 'base64url'));
    if (url !== `/${azp}/things`) wrong.push(`a token of ${azp} for ${url}`);
    if (headers['x-backstage-user'] !== 'user:default/jane') wrong.push('the user is missing');
    response.writeHead(chance.next() < 1 / REJECTED ? 401 : 200).end('{}');
  });

  const script = playScript(endpoint, SEED, files);
  const { tokenEndpoint } = endpoint;
  const settings = { tokenEndpoint, api: api.url, seed: SEED, seconds: SECONDS, files };
  const argument = JSON.stringify({ ...settings, thread: 'main' });
  const file = path.join(__dirname, 'program.js');
  const program = run(t, file, [argument], { limitMs: LIMIT_MS });
  const { code, at, printed, printedAt, errors } = await program.ended();
  await script.stop();

  assert.equal(code, 0, errors);
  const { counts, tokens } = printed.pop();
  t.diagnostic(`answers: ${JSON.stringify(script.given)}`);
  t.diagnostic(`calls: ${JSON.stringify(counts)}`);
  t.diagnostic(`${tokens} tokens of ${endpoint.requestCount} requests`);
  for (const name of ['tokens', 'workers: ends', 'fetched 200']) {
    assert.ok(counts[name] > 0, `${name}: none`);
  }
  assert.deepEqual(printed, [], 'violations');
  assert.deepEqual(wrong, []);
  assert.equal(errors, '');
  assert.ok(at - printedAt <= EXIT_MS, `it took ${at - printedAt} ms to end`);
});
