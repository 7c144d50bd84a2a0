'use strict';

// The line between JavaScript and the native side: what crosses it, when, and in which shape.

const assert = require('node:assert/strict');
const { getEventListeners } = require('node:events');
const { describe, it } = require('node:test');
const { inspect } = require('node:util');
const native = require('../lib/native.js');
const { KeycloakTokenError } = require('..');
const { block } = require('./programs/program.js');
const { rejection, start, times, tokenResponse } = require('./support/manager.js');
const { nativeCalls } = require('./support/native-calls.js');

/** A hanging test must fail. */
const LIMIT_MS = 30_000;

const isPending = (promise) => inspect(promise).includes('<pending>');

describe('cached read', { timeout: LIMIT_MS }, () => {
  it('gives the very same promise while the token is the same', async (t) => {
    const { manager } = await start(t);
    const token = await manager.getToken();
    const held = manager.getToken();
    assert.equal(await held, token);
    assert.ok(times(100, () => manager.getToken()).every((promise) => promise === held));
    assert.equal(manager.getToken(undefined), held);
    manager.clearCache();
    const next = manager.getToken();
    assert.notEqual(next, held);
    assert.notEqual(await next, token);
  });

  it('calls nothing native, with options or without', async (t) => {
    const calls = nativeCalls(t);
    const { manager } = await start(t);
    const token = await manager.getToken();
    assert.ok(calls.includes('ask'), 'calls are seen');
    calls.length = 0;
    const { signal } = new AbortController();
    for (let round = 0; round < 100; round += 1) {
      assert.equal(await manager.getToken(), token);
      assert.equal(await manager.getToken({}), token);
      assert.equal(await manager.getToken({ signal, minValiditySeconds: 0 }), token);
      assert.equal((await manager.getAccessToken()).token, token);
    }
    assert.deepEqual(calls, []);
    assert.equal(manager.snapshot().counters.hits, 400);
  });

  it('adds no listener to a signal, and rejects with the reason of an aborted one', async (t) => {
    const { manager } = await start(t);
    await manager.getToken();
    const { signal } = new AbortController();
    t.mock.method(signal, 'addEventListener');
    await manager.getToken({ signal });
    await manager.getAccessToken({ signal });
    assert.equal(signal.addEventListener.mock.callCount(), 0);
    const reason = new Error('enough');
    const aborted = AbortSignal.abort(reason);
    await assert.rejects(manager.getToken({ signal: aborted }), (error) => error === reason);
    await assert.rejects(manager.getAccessToken({ signal: aborted }), (error) => error === reason);
  });

  it('ends with the token, in a loop that lets nothing else run', async (t) => {
    const life = 1;
    const options = { backgroundRefresh: false, tokenExpiryBufferSeconds: 0 };
    const { endpoint, manager } = await start(t, options, { expiresIn: life });
    const sent = performance.now();
    const first = await manager.getToken();
    const held = manager.getToken();
    let reads = 0;
    while (manager.getToken() === held && performance.now() - sent < 2000) reads += 1;
    const age = (performance.now() - sent) / 1000;
    assert.ok(reads > 1000, `${reads} reads`);
    // The end that is kept to is a quarter of so short a life before its end.
    assert.ok(age >= 0.7 && age < life, `it was given for ${age} s`);
    const next = manager.getToken();
    assert.ok(isPending(next), 'what is given now is to come');
    assert.notEqual(await next, first);
    assert.equal(endpoint.requestCount, 2);
  });

  it('does not give a token that ended while the event loop was blocked', async (t) => {
    const { endpoint, manager } = await start(t, { backgroundRefresh: false }, { expiresIn: 1 });
    const first = await manager.getToken();
    const held = manager.getToken();
    block(1100);
    const next = manager.getToken();
    assert.notEqual(next, held);
    assert.ok(isPending(next));
    assert.notEqual(await next, first);
    assert.equal(endpoint.requestCount, 2);
  });

  it('gives the new token as soon as a background refresh brought it', async (t) => {
    const { endpoint, manager } = await start(t, {}, { expiresIn: 1 });
    const first = await manager.getToken();
    const held = manager.getToken();
    // The endpoint is in this process, so it answers only after the block.
    block(600);
    assert.equal(manager.snapshot().counters.acquisitions, 2, 'a refresh is under way');
    assert.equal(manager.getToken(), held, 'the token is valid still');
    await endpoint.waitForRequests(2);
    let token = first;
    while (token === first) {
      await new Promise(setImmediate);
      token = await manager.getToken();
    }
    assert.equal(manager.getToken(), manager.getToken());
    assert.equal(endpoint.requestCount, 2);
  });

  it('is counted once, exactly', async (t) => {
    const { manager } = await start(t);
    await Promise.all(times(10, () => manager.getToken()));
    const { hits, joins, acquisitions } = manager.snapshot().counters;
    assert.deepEqual({ hits, joins, acquisitions }, { hits: 0, joins: 9, acquisitions: 1 });
    for (let call = 0; call < 1000; call += 1) manager.getToken();
    assert.equal(manager.snapshot().counters.hits, 1000);
  });
});

describe('miss', { timeout: LIMIT_MS }, () => {
  it('costs one native call, however many callers', async (t) => {
    const calls = nativeCalls(t);
    const { endpoint, manager } = await start(t);
    calls.length = 0;
    const promises = times(10_000, () => manager.getToken());
    assert.equal(new Set(promises).size, 1);
    assert.deepEqual(calls, ['ask', 'hold']);
    const tokens = await Promise.all(promises);
    assert.equal(new Set(tokens).size, 1);
    assert.equal(endpoint.requestCount, 1);
    assert.equal(manager.snapshot().counters.joins, 9_999);
  });

  it('is not joined after the flight was detached', async (t) => {
    const { endpoint, manager } = await start(t);
    endpoint.pause();
    const before = manager.getToken();
    const invalidated = manager.getToken();
    assert.equal(before, invalidated);
    manager.clearCache();
    const after = manager.getToken();
    assert.notEqual(after, before);
    await endpoint.waitForRequests(2);
    endpoint.resume();
    const [old, current] = await Promise.all([before, after]);
    assert.notEqual(old, current);
    assert.equal(await manager.getToken(), current, 'the detached one is not stored');
  });

  it('frees the caller who aborts, alone, and leaves no listener', async (t) => {
    const { endpoint, manager } = await start(t);
    endpoint.pause();
    const leaving = new AbortController();
    const staying = new AbortController();
    const left = manager.getToken({ signal: leaving.signal });
    const stayed = manager.getAccessToken({ signal: staying.signal });
    const plain = manager.getToken();
    await endpoint.waitForRequests(1);
    assert.equal(getEventListeners(staying.signal, 'abort').length, 1);
    leaving.abort();
    await assert.rejects(left, (error) => error === leaving.signal.reason);
    assert.equal(getEventListeners(leaving.signal, 'abort').length, 0);
    endpoint.resume();
    assert.equal((await stayed).token, await plain);
    assert.equal(getEventListeners(staying.signal, 'abort').length, 0);
    staying.abort();
    assert.equal(endpoint.requestCount, 1);
  });

  it('that all callers left still brings the token', async (t) => {
    const { endpoint, manager } = await start(t);
    endpoint.pause();
    const leaving = new AbortController();
    const left = manager.getToken({ signal: leaving.signal });
    await endpoint.waitForRequests(1);
    leaving.abort();
    await assert.rejects(left, { name: 'AbortError' });
    const joined = manager.getToken();
    endpoint.resume();
    await joined;
    assert.equal(endpoint.requestCount, 1);
    assert.equal(manager.snapshot().state, 'fresh');
  });

  it('gives an access token whose times are those of the request', async (t) => {
    const { manager } = await start(t);
    const before = Date.now();
    const access = await manager.getAccessToken();
    const after = Date.now();
    assert.deepEqual(Object.keys(access).sort(), [
      'expiresAt',
      'issuedAt',
      'scope',
      'token',
      'tokenType',
    ]);
    assert.equal(access.tokenType, 'Bearer');
    assert.ok(access.issuedAt >= before - 1 && access.issuedAt <= after, `${access.issuedAt}`);
    const life = access.expiresAt - access.issuedAt;
    assert.ok(Math.abs(life - 299_000) <= 1, `300 s less a second, but ${life} ms`);
    assert.notEqual(await manager.getAccessToken(), access, 'everybody has an object of his own');
  });
});

describe('failure', { timeout: LIMIT_MS }, () => {
  it('is an error made here: class, name, stack and code', async (t) => {
    const { endpoint, manager } = await start(t);
    endpoint.setSecret('test-client', 'another');
    const error = await rejection(manager.getToken(), 'ERR_KEYCLOAK_OAUTH');
    assert.ok(error instanceof Error && error instanceof KeycloakTokenError);
    assert.equal(error.name, 'KeycloakTokenError');
    assert.equal(Object.prototype.toString.call(error), '[object Error]');
    assert.match(error.stack, /^KeycloakTokenError: [\s\S]+\n {4}at .+(manager|index)\.js/);
    assert.equal(error.status, 401);
    assert.equal(error.oauthError, 'unauthorized_client');
    assert.equal(error.attempts, 1);
    assert.equal(error.tokenEndpoint, endpoint.tokenEndpoint);
    assert.equal(error.clientId, 'test-client');
    assert.ok(error.retryAfterMs >= 1000 && error.retryAfterMs <= 1250, `${error.retryAfterMs}`);
    assert.ok(!('cause' in error));
  });

  it('is the same error for all who share a promise, and equal for the others', async (t) => {
    const { endpoint, manager } = await start(t);
    endpoint.setSecret('test-client', 'another');
    const { signal } = new AbortController();
    const calls = [manager.getToken(), manager.getToken(), manager.getToken({ signal })];
    const errors = await Promise.all(calls.map((call) => rejection(call, 'ERR_KEYCLOAK_OAUTH')));
    assert.equal(errors[0], errors[1]);
    assert.equal(errors[2].message, errors[0].message);
    assert.equal(endpoint.requestCount, 1);
  });

  it('of a secret function carries what it threw', async (t) => {
    const reason = new Error('the vault is sealed');
    const clientSecret = () => {
      throw reason;
    };
    const { endpoint, manager } = await start(t, { clientSecret });
    const error = await rejection(manager.getToken(), 'ERR_KEYCLOAK_CREDENTIAL');
    assert.equal(error.cause, reason);
    assert.equal(endpoint.requestCount, 0);
  });

  it('of arguments is a rejection, never a throw', async (t) => {
    const { endpoint, manager } = await start(t);
    for (const options of [null, 5, 'x', { minValiditySeconds: '5' }, { signal: {} }]) {
      await rejection(manager.getToken(options), 'ERR_KEYCLOAK_REQUEST');
      await rejection(manager.getAccessToken(options), 'ERR_KEYCLOAK_REQUEST');
    }
    await rejection(manager.getTokenForStreaming('5'), 'ERR_KEYCLOAK_REQUEST');
    await rejection(manager.getTokenForStreaming(), 'ERR_KEYCLOAK_REQUEST');
    assert.equal(endpoint.requestCount, 0);
  });
});

describe('logger', { timeout: LIMIT_MS }, () => {
  it('that throws takes a token from nobody', async (t) => {
    let lines = 0;
    const log = () => {
      lines += 1;
      throw new Error('the disk is full');
    };
    const logger = { error: log, warn: log, info: log, debug: log };
    const { open } = await start(t);
    assert.equal(typeof (await open({ logger }).getToken()), 'string');
    assert.equal(lines, 1);
  });

  it('may call the manager', async (t) => {
    const { endpoint, open } = await start(t);
    const calls = [];
    const debug = () => {
      if (calls.length > 0) return;
      calls.push(manager.getToken());
      manager.clearCache();
      calls.push(manager.getToken());
    };
    const manager = open({ logger: { error() {}, warn() {}, info() {}, debug } });
    const first = await manager.getToken();
    const [same, second] = await Promise.all(calls);
    assert.equal(same, first);
    assert.notEqual(second, first);
    assert.equal(await manager.getToken(), second, 'the one that was cleared is not kept');
    assert.equal(endpoint.requestCount, 2);
  });

  it('has its own `this`', async (t) => {
    class Logger {
      lines = [];
      #write(line) {
        this.lines.push(line);
      }
      error(line) {
        this.#write(line);
      }
      warn(line) {
        this.#write(line);
      }
      info(line) {
        this.#write(line);
      }
      debug(line) {
        this.#write(line);
      }
    }
    const logger = new Logger();
    const { open } = await start(t);
    await open({ logger }).getToken();
    assert.equal(logger.lines.length, 1);
  });
});

describe('a fault of the native side', { timeout: LIMIT_MS }, () => {
  const isInternal = (cause) => ({
    name: 'KeycloakTokenError',
    code: 'ERR_KEYCLOAK_INTERNAL',
    retryable: false,
    cause,
  });
  const fault = Object.assign(new Error('a fault'), { code: 'GenericFailure' });
  const throwFault = () => {
    throw fault;
  };

  it('while options are read is not reported as a fault of the options', async (t) => {
    const { open } = await start(t);
    t.mock.method(native, 'open', throwFault);
    assert.throws(() => open(), isInternal(fault));
  });

  it('rejects the promise of a call instead of throwing', async (t) => {
    const { manager } = await start(t);
    t.mock.method(native.Core.prototype, 'ask', throwFault);
    const calls = [
      () => manager.getToken(),
      () => manager.getToken({ forceRefresh: true }),
      () => manager.getAccessToken(),
      () => manager.getTokenForStreaming(1),
    ];
    for (const call of calls) await assert.rejects(call(), isInternal(fault));
  });

  it('rejects the promise of close()', async (t) => {
    const { manager } = await start(t);
    const close = t.mock.method(native.Core.prototype, 'close', throwFault);
    await assert.rejects(manager.close(), isInternal(fault));
    close.mock.restore();
  });

  it('is thrown by methods that return no promise', async (t) => {
    const { manager } = await start(t);
    for (const method of ['clear', 'invalidate', 'snapshot']) {
      t.mock.method(native.Core.prototype, method, throwFault);
    }
    for (const method of ['clearCache', 'invalidateToken', 'snapshot']) {
      assert.throws(() => manager[method]('token'), isInternal(fault), method);
    }
  });
});

// Where memory of others is forbidden, the buffer that JavaScript gets is a copy.
describe('without shared memory', { timeout: LIMIT_MS }, () => {
  async function startUnshared(t, options, endpointOptions) {
    t.mock.method(native.Core.prototype, 'memory', () => {
      const copy = new ArrayBuffer(24);
      new Int32Array(copy)[0] = 1;
      return copy;
    });
    return start(t, options, endpointOptions);
  }

  it('tokens are held by the native side, and asked of it at every call', async (t) => {
    const calls = nativeCalls(t);
    const { endpoint, manager } = await startUnshared(t);
    const token = await manager.getToken();
    calls.length = 0;
    for (let call = 0; call < 10; call += 1) assert.equal(await manager.getToken(), token);
    assert.equal((await manager.getAccessToken()).token, token);
    assert.deepEqual(calls, Array(11).fill('ask'));
    assert.equal(endpoint.requestCount, 1);
    assert.equal(manager.snapshot().counters.hits, 11);
  });

  it('a miss is shared', async (t) => {
    const { endpoint, manager } = await startUnshared(t);
    const tokens = await Promise.all(times(100, () => manager.getToken()));
    assert.equal(new Set(tokens).size, 1);
    assert.equal(endpoint.requestCount, 1);
  });

  it('a token that was dropped or is over is not given', async (t) => {
    const { endpoint, manager } = await startUnshared(
      t,
      { backgroundRefresh: false },
      { expiresIn: 1 },
    );
    const first = await manager.getToken();
    block(1100);
    const second = await manager.getToken();
    assert.equal(manager.invalidateToken(second), true);
    const third = await manager.getToken();
    manager.clearCache();
    const fourth = await manager.getToken();
    assert.equal(new Set([first, second, third, fourth]).size, 4);
    assert.equal(endpoint.requestCount, 4);
  });

  it('a background refresh goes on', async (t) => {
    const { endpoint, manager } = await startUnshared(t, {}, { expiresIn: 1 });
    const first = await manager.getToken();
    assert.equal(await manager.getToken(), first);
    await endpoint.waitForRequests(2);
    let token = first;
    while (token === first) {
      await new Promise(setImmediate);
      token = await manager.getToken();
    }
    assert.equal(endpoint.requestCount, 2);
  });

  it('close wipes and rejects', async (t) => {
    const { manager } = await startUnshared(t);
    await manager.getToken();
    await manager.close();
    await rejection(manager.getToken(), 'ERR_KEYCLOAK_CLOSED');
  });
});

describe('a token that is not stored', { timeout: LIMIT_MS }, () => {
  it('is given to those who waited and to nobody else', async (t) => {
    const { endpoint, manager } = await start(t);
    endpoint.answerNext({ body: tokenResponse('over-on-arrival', 1), delayMs: 1_050 });
    const { signal } = new AbortController();
    const calls = [manager.getToken(), manager.getToken(), manager.getToken({ signal })];
    assert.deepEqual(await Promise.all(calls), Array(3).fill('over-on-arrival'));
    assert.notEqual(await manager.getToken(), 'over-on-arrival');
    assert.equal(endpoint.requestCount, 2);
  });
});
