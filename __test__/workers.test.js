'use strict';

// Worker threads with their own managers, on the one native runtime of the process.

const assert = require('node:assert/strict');
const { execFile } = require('node:child_process');
const path = require('node:path');
const { describe, it } = require('node:test');
const { promisify } = require('node:util');
const { run } = require('./programs');
const { startEndpoint: start } = require('./support/manager.js');

/** A hanging test must fail. */
const LIMIT_MS = 60_000;
const JEST_LIMIT_MS = 60_000;
const root = path.join(__dirname, '..');
const JEST = path.join(root, 'node_modules', 'jest', 'bin', 'jest.js');
const CONFIG = path.join(root, 'tools', 'jest.config.js');
const isLinux = process.platform === 'linux' ? false : 'threads are named in /proc';

const program = (t, { tokenEndpoint }, task) =>
  run(t, 'workers.js', [tokenEndpoint, task], { execArgv: ['--expose-gc'] });

describe('worker threads', { timeout: LIMIT_MS }, () => {
  it('have their own tokens, and one native thread in common', { skip: isLinux }, async (t) => {
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

describe('Jest', { timeout: LIMIT_MS }, () => {
  for (const [name, args] of [
    ['worker processes', ['--maxWorkers=2']],
    ['worker threads', ['--maxWorkers=2', '--workerThreads']],
  ]) {
    it(`its suite passes in ${name}, and ends by itself`, async () => {
      // With this variable, Jest would report to the runner of this test.
      const env = { ...process.env, NODE_TEST_CONTEXT: undefined };
      const { stdout, stderr } = await promisify(execFile)(
        process.execPath,
        [JEST, '--ci', '--colors=false', `--config=${CONFIG}`, ...args],
        { cwd: root, env, timeout: JEST_LIMIT_MS },
      );
      const output = stdout + stderr;
      assert.match(output, /^Tests: +\d+ passed, \d+ total$/m);
      assert.doesNotMatch(output, /did not exit|failed to exit gracefully|open handle/);
    });
  }
});
