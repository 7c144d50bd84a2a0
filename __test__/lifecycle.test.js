'use strict';

// The costs of the package, the lifetime of a process, and the end of a manager.

const assert = require('node:assert/strict');
const { EventEmitter, once } = require('node:events');
const { describe, it } = require('node:test');
const { setTimeout: delay } = require('node:timers/promises');
const { inspect } = require('node:util');
const { KeycloakTokenError, KeycloakTokenManager } = require('..');
const { startFakeTokenEndpoint } = require('../lib/testing');
const { now, run } = require('./programs');
const { startFakeTokenEndpointProcess, startRawServer } = require('./support/fault-server.js');

/** A hanging test must fail. */
const LIMIT_MS = 30_000;
const EXIT_LIMIT_MS = 1000;
const ROUNDS = 7;
/** Less than the program's event loop is busy, and more than an answer on loopback takes. */
const ARRIVED_MS = 200;
/** Longer than a token of 2 s lives. */
const STOPPED_MS = 2500;

const isLinux =
  process.platform === 'linux' ? false : 'needs /proc, or signals that stop a process';

async function start(t, options) {
  const endpoint = await startFakeTokenEndpoint(options);
  t.after(() => endpoint.close());
  return endpoint;
}

function make(t, { tokenEndpoint }, options = {}) {
  const manager = new KeycloakTokenManager({
    tokenEndpoint,
    clientId: 'test-client',
    clientSecret: 'test-secret',
    ...options,
  });
  t.after(() => manager.close());
  return manager;
}

function median(numbers) {
  return numbers.toSorted((a, b) => a - b)[Math.floor(numbers.length / 2)];
}

const isClosed = { name: 'KeycloakTokenError', code: 'ERR_KEYCLOAK_CLOSED', retryable: false };

describe('costs', { timeout: LIMIT_MS, skip: isLinux }, () => {
  it('loading is cheap, and no thread and no socket is there before the first token', async (t) => {
    const endpoint = await start(t);
    const rounds = [];
    for (let round = 0; round < ROUNDS; round += 1) {
      rounds.push(await run(t, 'costs.js', [endpoint.tokenEndpoint]).result());
    }
    const typical = (step, what) => median(rounds.map((round) => round[step][what]));
    const ratio = median(rounds.map(({ required, https }) => required.ms / https.ms));
    const mib = typical('required', 'mib');
    assert.ok(ratio <= 1, `require took ${ratio} times as long as that of node:https`);
    assert.ok(mib <= 6, `require took ${mib} MiB`);
    for (const { required, constructed, token } of rounds) {
      for (const step of [required, constructed]) {
        assert.deepEqual([step.threads, step.sockets], [0, 0]);
      }
      assert.ok(token.threads === 1 || token.threads === 2, `${token.threads} threads more`);
      assert.equal(token.sockets >= 1, true, 'sockets are seen');
    }
  });
});

describe('exit', { timeout: LIMIT_MS }, () => {
  /** The program, once it has told that it does nothing more. */
  async function lastWord(t, endpoint, way) {
    const program = run(t, 'exits.js', [endpoint.tokenEndpoint, way]);
    return { program, word: await program.next(), at: now() };
  }

  function assertPrompt({ code, signal, at }, since) {
    assert.deepEqual({ code, signal }, { code: 0, signal: null });
    assert.ok(at - since < EXIT_LIMIT_MS, `ended after ${at - since} ms`);
  }

  for (const way of ['after a token', 'after a token and a close']) {
    it(`a program ends by itself ${way}`, async (t) => {
      const { program, at } = await lastWord(t, await start(t), way);
      assertPrompt(await program.ended(), at);
    });
  }

  it('process.exit works while a request is under way', async (t) => {
    const endpoint = await start(t);
    endpoint.pause();
    const program = run(t, 'exits.js', [endpoint.tokenEndpoint, 'process.exit in flight']);
    await endpoint.waitForRequests(1);
    program.goOn();
    assert.equal(await program.next(), 'about to exit');
    const since = now();
    const { code, at } = await program.ended();
    assert.equal(code, 7);
    assert.ok(at - since < EXIT_LIMIT_MS, `ended after ${at - since} ms`);
  });

  it('a flight that all its callers left does not hold the process', async (t) => {
    const endpoint = await start(t);
    endpoint.pause();
    const program = run(t, 'exits.js', [endpoint.tokenEndpoint, 'abandoned flight']);
    await endpoint.waitForRequests(1);
    program.goOn();
    assert.equal(await program.next(), 'left');
    assertPrompt(await program.ended(), now());
    assert.equal(endpoint.requests[0].status, undefined, 'the request was not answered');
  });

  it('a caller who stays holds the process when another left', async (t) => {
    const endpoint = await start(t);
    endpoint.pause();
    const program = run(t, 'exits.js', [endpoint.tokenEndpoint, 'abandoned by one of two']);
    await endpoint.waitForRequests(1);
    program.goOn();
    assert.equal(await program.next(), 'left');
    endpoint.resume();
    assert.equal(await program.result(), 'the other has a token');
  });

  it('a background refresh does not hold the process', async (t) => {
    const endpoint = await start(t, { expiresIn: 2 });
    const program = run(t, 'exits.js', [endpoint.tokenEndpoint, 'background refresh in flight']);
    await endpoint.waitForRequests(1);
    endpoint.setAnswer({ fault: 'hang' });
    await endpoint.waitForRequests(2);
    program.goOn();
    assert.equal(await program.next(), 'refreshing');
    assertPrompt(await program.ended(), now());
  });

  it('a caller who waits holds the process, until there is a token', async (t) => {
    const endpoint = await start(t, { delayMs: 300 });
    const program = run(t, 'exits.js', [endpoint.tokenEndpoint, 'waiting caller']);
    assert.equal(await program.result(), 'a token is there');
  });

  it('a caller who waits holds the process, until there is a failure', async (t) => {
    const endpoint = await start(t);
    endpoint.setAnswer({ status: 400, body: { error: 'invalid_client' }, delayMs: 300 });
    const way = 'waiting caller of a failing flight';
    const { program, word, at } = await lastWord(t, endpoint, way);
    assert.equal(word, 'ERR_KEYCLOAK_OAUTH');
    assertPrompt(await program.ended(), at);
  });
});

describe('blocked event loop', { timeout: LIMIT_MS, concurrency: true }, () => {
  async function start(t, options) {
    const endpoint = await startFakeTokenEndpointProcess(options);
    t.after(() => endpoint.close());
    return endpoint;
  }

  it('a refresh is done meanwhile, however slow the server', async (t) => {
    // A life of 3 s is stale after 1.5 s and over after 3 s; the replacement is sent before 1.5 s.
    const endpoint = await start(t, { expiresIn: 3, delayMs: 300 });
    const seen = await run(t, 'blocked.js', [endpoint.tokenEndpoint, 500, 3300]).result();
    assert.deepEqual(seen.counters, { hits: 1, acquisitions: 2 });
    assert.deepEqual([seen.wasCached, seen.isNew], [true, true]);
    assert.ok(seen.ms < 20, `the caller waited ${seen.ms} ms`);
    assert.ok(seen.left > 0, 'the token is valid');
  });

  it('a caller is served at once after more than one life', async (t) => {
    const endpoint = await start(t, { expiresIn: 3 });
    const ends = [4150, 4200, 4250];
    const all = await Promise.all(
      ends.map((end) => run(t, 'blocked.js', [endpoint.tokenEndpoint, 500, end]).result()),
    );
    for (const seen of all) {
      assert.deepEqual([seen.wasCached, seen.isNew], [true, true]);
      assert.ok(seen.left > 0, 'the token is valid');
    }
    const ms = median(all.map((seen) => seen.ms));
    assert.ok(ms < 20, `the caller waited ${ms} ms`);
  });
});

describe('a process that is stopped', { timeout: LIMIT_MS, skip: isLinux }, () => {
  it('gives no token that ended before its event loop ran again, and keeps none', async (t) => {
    const endpoint = await start(t);
    let last = 0;
    endpoint.setAnswer(() => {
      last += 1;
      return { body: { access_token: `token-${last}`, token_type: 'Bearer', expires_in: 2 } };
    });
    const program = run(t, 'stopped.js', [endpoint.tokenEndpoint]);
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
  it('rejects everybody who waits, whatever they wait for', async (t) => {
    const endpoint = await start(t);
    endpoint.pause();
    const manager = make(t, endpoint);
    const calls = [
      manager.getToken(),
      manager.getToken(),
      manager.getAccessToken(),
      manager.getToken({ forceRefresh: true }),
      manager.getToken({ minValiditySeconds: 5 }),
      manager.getToken({ signal: new AbortController().signal }),
      manager.getTokenForStreaming(1000),
    ];
    await endpoint.waitForRequests(1);
    const closed = manager.close();
    await Promise.all(calls.map((call) => assert.rejects(call, isClosed)));
    await closed;
    assert.equal(endpoint.requestCount, 1);
  });

  it('rejects everybody who waits for a flight that clearCache detached', async (t) => {
    const endpoint = await start(t);
    endpoint.pause();
    const manager = make(t, endpoint);
    const detached = manager.getToken();
    manager.clearCache();
    const current = manager.getToken();
    assert.notEqual(current, detached);
    await endpoint.waitForRequests(2);
    manager.close();
    await Promise.all([detached, current].map((call) => assert.rejects(call, isClosed)));
  });

  it('breaks off the request', { timeout: 5000 }, async (t) => {
    const seen = new EventEmitter();
    const [requested, ended] = [once(seen, 'request'), once(seen, 'end')];
    const server = await startRawServer((socket) => {
      socket.once('data', () => seen.emit('request'));
      socket.once('close', () => seen.emit('end'));
    });
    t.after(() => server.close());
    const manager = make(t, { tokenEndpoint: `${server.url}/token` });
    const call = manager.getToken();
    await requested;
    manager.close();
    await assert.rejects(call, isClosed);
    await ended;
  });

  it('leaves a manager that gives nothing and does nothing', async (t) => {
    const endpoint = await start(t);
    const manager = make(t, endpoint);
    const token = await manager.getToken();
    assert.equal(await manager.close(), undefined);
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

  it('can be repeated, before and after a token', async (t) => {
    const endpoint = await start(t);
    const unused = make(t, endpoint);
    await unused.close();
    await unused.close();
    await assert.rejects(unused.getToken(), isClosed);
    const used = make(t, endpoint);
    await used.getToken();
    await Promise.all([used.close(), used.close(), used[Symbol.asyncDispose]()]);
    assert.equal(used.snapshot().state, 'closed');
  });

  it('starts no thread afterwards', { skip: isLinux }, async (t) => {
    const endpoint = await start(t);
    const closed = await run(t, 'closed.js', [endpoint.tokenEndpoint]).result();
    assert.deepEqual(closed, { code: 'ERR_KEYCLOAK_CLOSED', wasDropped: false, more: 0 });
  });

  it('is what asynchronous disposal does', async (t) => {
    const manager = make(t, await start(t));
    await manager.getToken();
    assert.equal(await manager[Symbol.asyncDispose](), undefined);
    await assert.rejects(manager.getToken(), isClosed);
  });

  it('may come from a logger, in the middle of a delivery', async (t) => {
    const endpoint = await start(t);
    const lines = [];
    const log = (line) => {
      lines.push(line);
      manager.close();
    };
    const logger = { error: log, warn: log, info: log, debug: log };
    const manager = make(t, endpoint, { logger });
    await assert.rejects(manager.getToken(), isClosed);
    assert.equal(lines.length, 1);
    await assert.rejects(manager.getToken(), isClosed);
  });

  it('stops refreshing', { timeout: 10_000 }, async (t) => {
    const clients = { closed: 'test-secret', open: 'test-secret' };
    const endpoint = await start(t, { clients, expiresIn: 1 });
    const of = (id) => endpoint.requests.filter(({ clientId }) => clientId === id).length;
    const closed = make(t, endpoint, { clientId: 'closed' });
    const open = make(t, endpoint, { clientId: 'open' });
    for (const manager of [closed, open]) {
      await manager.getToken();
      await manager.getToken();
    }
    await closed.close();
    // The other, in use all the time, is refreshed when this one would have been, and once more.
    const use = setInterval(() => open.getToken().catch(() => {}), 10);
    t.after(() => clearInterval(use));
    await endpoint.waitForRequests(4);
    assert.deepEqual([of('closed'), of('open')], [1, 3]);
  });

  it('leaves nothing to be seen of token and secret', async (t) => {
    const endpoint = await start(t);
    const manager = make(t, endpoint, { clientSecret: async () => 'test-secret' });
    const token = await manager.getToken();
    const pending = manager.getToken({ forceRefresh: true });
    const shown = () => [
      inspect(manager, { depth: Infinity, showHidden: true, getters: true }),
      JSON.stringify(manager),
      JSON.stringify(manager.snapshot()),
      inspect(manager.snapshot(), { depth: Infinity }),
      String(manager),
    ];
    const before = shown();
    await manager.close();
    const error = await pending.catch((reason) => reason);
    assert.ok(error instanceof KeycloakTokenError);
    const errors = [inspect(error, { depth: Infinity, showHidden: true }), JSON.stringify(error)];
    for (const text of [...before, ...shown(), ...errors]) {
      assert.ok(!text.includes(token) && !text.includes('test-secret'), text);
    }
  });
});
