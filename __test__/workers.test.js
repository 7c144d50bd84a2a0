'use strict';

// Worker threads with their own managers, which share the native runtime of the process.

const assert = require('node:assert/strict');
const { describe, it } = require('node:test');
const { run } = require('./programs');
const { startEndpoint: start } = require('./support/manager.js');

/** A hanging test must fail. */
const LIMIT_MS = 60_000;
const isLinux = process.platform === 'linux' ? false : 'needs the names of threads in /proc';

const program = (t, { tokenEndpoint }, task) =>
  run(t, 'workers.js', [tokenEndpoint, task], { execArgv: ['--expose-gc'] });

describe('worker threads', { timeout: LIMIT_MS }, () => {
  it('have their own tokens, and share one native thread', { skip: isLinux }, async (t) => {
    const endpoint = await start(t);
    const seen = await program(t, endpoint, 'share').result();
    assert.equal(seen.tokens, 4);
    assert.deepEqual(seen.before, ['keycloak-token']);
    assert.deepEqual(seen.during, ['keycloak-token']);
    assert.deepEqual(seen.codes, [0, 0, 0]);
    assert.equal(seen.cached, true);
    assert.equal(endpoint.requestCount, 4);
    const connections = new Set(endpoint.requests.map(({ connection }) => connection));
    assert.ok(connections.size <= 4 && connections.has(endpoint.requests[0].connection));
  });

  it('may end before the main thread has a manager', { skip: isLinux }, async (t) => {
    const seen = await program(t, await start(t), 'workerFirst').result();
    assert.deepEqual(seen, { code: 0, isOwn: true, threads: ['keycloak-token'] });
  });

  it('get errors of their own classes', async (t) => {
    const seen = await program(t, await start(t), 'failure').result();
    assert.deepEqual(seen, { isOurs: true, code: 'ERR_KEYCLOAK_OAUTH' });
  });

  it('stay alive while a caller waits for a token', async (t) => {
    const endpoint = await start(t, { delayMs: 300 });
    const { code, isOwn } = await program(t, endpoint, 'workerFirst').result();
    assert.deepEqual({ code, isOwn }, { code: 0, isOwn: true });
  });
});
