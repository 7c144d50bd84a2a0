'use strict';

// How managers affect the lifetime of their process, and how they close.

const assert = require('node:assert/strict');
const http = require('node:http');
const { describe, it } = require('node:test');
const { now, run } = require('./programs');
const { block } = require('./programs/program.js');
const { listen } = require('./support/listen.js');
const { delay, numbered, start, unhandledRejections, until } = require('./support/manager.js');

/** A hanging test must fail. */
const LIMIT_MS = 30_000;
const EXIT_LIMIT_MS = 1000;
const BUSY_MS = 500;
/** Shorter than the time for which the event loop is blocked, and longer than a response takes. */
const ARRIVED_MS = 200;
/** Longer than the lifetime of a 2 s token. */
const STOPPED_MS = 2500;

const isLinux =
  process.platform === 'linux' ? false : 'needs /proc, or signals that stop a process';

function median(numbers) {
  return numbers.toSorted((a, b) => a - b)[Math.floor(numbers.length / 2)];
}

const isClosed = { name: 'KeycloakTokenError', code: 'ERR_KEYCLOAK_CLOSED', retryable: false };

describe('a program', { timeout: LIMIT_MS }, () => {
  /**
   * Starts a program. If `count` is not 0, the program continues when the endpoint has received
   * that number of requests. `before(endpoint)` sets the answers. `word` is the last value that the
   * program prints before it ends.
   */
  async function runExit(t, way, { options, count = 0, before } = {}) {
    const { endpoint } = await start(t, {}, options);
    before?.(endpoint);
    const program = run(t, 'exits.js', [endpoint.tokenEndpoint, way]);
    await (count > 0 && endpoint.waitForRequests(count));
    if (count > 0) program.goOn();
    return { endpoint, program, word: await program.next(), since: now() };
  }

  const pause = (endpoint) => endpoint.pause();
  const refuse = (endpoint) =>
    endpoint.setAnswer({ status: 400, body: { error: 'invalid_client' }, delayMs: 300 });
  const hangOnRefresh = (endpoint) => {
    endpoint.answerNext({});
    endpoint.setAnswer({ fault: 'hang' });
  };

  const refresh = { options: { expiresIn: 2 }, count: 2, before: hangOnRefresh };
  for (const [name, way, expected, settings, code = 0] of [
    ['ends by itself after a token', 'token', 'token'],
    ['ends by itself after a token and a close', 'token and close', 'closed'],
    ['waits for a token', 'token', 'token', { options: { delayMs: 300 } }],
    ['waits for a failure', 'failure', 'ERR_KEYCLOAK_OAUTH', { before: refuse }],
    ['waits for a secret function', 'secret function', 'token'],
    ['can exit with a request under way', 'exit', 'exit', { count: 1, before: pause }, 7],
    ['does not wait for an abandoned flight', 'abandoned', 'left', { count: 1, before: pause }],
    ['does not wait for a background refresh', 'refresh', 'refreshing', refresh],
  ]) {
    it(name, async (t) => {
      const { program, word, since } = await runExit(t, way, settings);
      assert.equal(word, expected);
      const { at, ...ended } = await program.ended();
      assert.deepEqual([ended.code, ended.signal], [code, null], ended.errors);
      assert.ok(at - since < EXIT_LIMIT_MS, `ended after ${at - since} ms`);
    });
  }

  it('waits for one caller after the other has left', async (t) => {
    const settings = { count: 1, before: pause };
    const { endpoint, program, word } = await runExit(t, 'abandoned by one', settings);
    assert.equal(word, 'left');
    endpoint.resume();
    assert.equal(await program.result(), 'token');
  });
});

describe('a blocked event loop', { timeout: LIMIT_MS, concurrency: true }, () => {
  for (const [name, delayMs, ends] of [
    // A 3 s token becomes stale after 1.5 s; the manager starts the refresh before that.
    ['does not delay a refresh from a slow server', 300, [3300]],
    ['does not delay a caller after more than one lifetime', 0, [4150, 4200, 4250]],
  ]) {
    it(name, async (t) => {
      const { endpoint } = await start(t, {}, { expiresIn: 3, delayMs });
      const { tokenEndpoint } = endpoint;
      const programs = ends.map((end) =>
        run(t, 'blocked.js', [tokenEndpoint, 'between calls', 500, end]),
      );
      const all = await Promise.all(programs.map((program) => program.result()));
      for (const { wasCached, isNew, left, counters } of all) {
        assert.deepEqual([wasCached, isNew], [true, true]);
        assert.ok(left > 0, 'the token is valid');
        if (ends.length === 1) assert.deepEqual(counters, { hits: 1, acquisitions: 2 });
      }
      const ms = median(all.map((seen) => seen.ms));
      assert.ok(ms < 20, `the caller waited ${ms} ms`);
    });
  }
});

describe('a process that is stopped', { timeout: LIMIT_MS, skip: isLinux }, () => {
  it('does not return or keep a token that expired before its event loop ran again', async (t) => {
    const { endpoint } = await start(t);
    endpoint.setAnswer(numbered(2));
    const args = [endpoint.tokenEndpoint, 'while the answer comes', BUSY_MS];
    const program = run(t, 'blocked.js', args);
    assert.equal(await program.next(), 'asked');
    await endpoint.waitForRequests(1);
    // The answer arrives while the event loop is busy.
    await delay(ARRIVED_MS);
    process.kill(program.pid, 'SIGSTOP');
    await delay(STOPPED_MS);
    process.kill(program.pid, 'SIGCONT');
    assert.deepEqual(await program.next(), ['token-2', 'token-2']);
  });
});

describe('close', { timeout: LIMIT_MS }, () => {
  it('rejects every waiting caller, including the callers of a detached flight', async (t) => {
    const { endpoint, manager } = await start(t);
    endpoint.pause();
    const detached = manager.getToken();
    await endpoint.waitForRequests(1);
    manager.clearCache();
    const calls = [
      detached,
      manager.getToken(),
      manager.getAccessToken(),
      manager.getToken({ forceRefresh: true }),
      manager.getToken({ minValiditySeconds: 5 }),
      manager.getToken({ signal: new AbortController().signal }),
      manager.getTokenForStreaming(1000),
    ];
    await endpoint.waitForRequests(2);
    const closed = manager.close();
    await Promise.all(calls.map((call) => assert.rejects(call, isClosed)));
    await closed;
    assert.equal(endpoint.requestCount, 2);
  });

  it('aborts the request', async (t) => {
    const { url, sockets } = await listen(t, http.createServer());
    const { manager } = await start(t, { tokenEndpoint: `${url}/token` });
    const call = manager.getToken();
    await until(() => sockets.size === 1, 'the request arrives');
    manager.close();
    await assert.rejects(call, isClosed);
    await until(() => sockets.size === 0, 'the connection is closed');
  });

  it('closes the manager for every method, and has no further effect when called again', async (t) => {
    const { endpoint, manager, open } = await start(t);
    const unused = open();
    assert.equal(await unused[Symbol.asyncDispose](), undefined);
    await assert.rejects(unused.getToken(), isClosed);
    const token = await manager.getToken();
    await Promise.all([manager.close(), manager.close(), manager[Symbol.asyncDispose]()]);
    await assert.rejects(manager.getToken(), isClosed);
    await assert.rejects(manager.getToken({ forceRefresh: true }), isClosed);
    await assert.rejects(manager.getAccessToken(), isClosed);
    await assert.rejects(manager.getTokenForStreaming(1), isClosed);
    assert.equal(manager.clearCache(), undefined);
    assert.equal(manager.invalidateToken(token), false);
    assert.equal(manager.invalidateToken(), false);
    const { state, tokenAgeSeconds, counters } = manager.snapshot();
    assert.deepEqual({ state, tokenAgeSeconds }, { state: 'closed', tokenAgeSeconds: undefined });
    assert.equal(counters.invalidations, 0);
    assert.equal(endpoint.requestCount, 1);
  });

  it('works if a logger calls it during a delivery', async (t) => {
    const { open } = await start(t);
    const lines = [];
    const log = (line) => {
      lines.push(line);
      manager.close();
    };
    const manager = open({ logger: { error: log, warn: log, info: log, debug: log } });
    await assert.rejects(manager.getToken(), isClosed);
    assert.equal(lines.length, 1);
    await assert.rejects(manager.getToken(), isClosed);
  });

  it('works if a logger calls it just before the manager needs the secret function', async (t) => {
    const reasons = unhandledRejections(t);
    const { endpoint, open } = await start(t);
    endpoint.setAnswer(numbered(6));
    let calls = 0;
    const clientSecret = () => {
      calls += 1;
      if (calls === 1) return 'test-secret';
      // The core reports the failure and starts the next attempt while the event loop is blocked.
      setImmediate(block, 2_000);
      throw new Error('no secret');
    };
    const log = () => {};
    const warn = () => manager.close();
    const manager = open({ clientSecret, logger: { error: log, warn, info: log, debug: log } });
    await manager.getToken();
    await manager.getToken();
    await until(() => manager.snapshot().state === 'closed', 'the failed refresh is logged');
    await delay(100);
    assert.deepEqual(reasons, []);
    assert.equal(calls, 2, 'the closed manager does not call the function');
  });

  it('stops refreshing', { timeout: 10_000 }, async (t) => {
    const clients = { closed: 'test-secret', open: 'test-secret' };
    const { endpoint, open } = await start(t, {}, { clients, expiresIn: 1 });
    const of = (id) => endpoint.requests.filter(({ clientId }) => clientId === id).length;
    const [closed, other] = [open({ clientId: 'closed' }), open({ clientId: 'open' })];
    for (const manager of [closed, other]) {
      await manager.getToken();
      await manager.getToken();
    }
    await closed.close();
    // The open manager is always in use: it refreshes when the closed manager would have refreshed,
    // and once more.
    const use = setInterval(() => other.getToken().catch(() => {}), 10);
    t.after(() => clearInterval(use));
    await endpoint.waitForRequests(4);
    assert.deepEqual([of('closed'), of('open')], [1, 3]);
  });
});
