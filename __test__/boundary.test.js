'use strict';

// The calls and values that cross the boundary between JavaScript and the native side.

const assert = require('node:assert/strict');
const { describe, it } = require('node:test');
const { inspect } = require('node:util');
const { getHeapStatistics } = require('node:v8');
const native = require('../lib/native.js');
const { block } = require('./programs/program.js');
const { rejection, start, times } = require('./support/manager.js');
const { nativeCalls } = require('./support/native-calls.js');

/** A hanging test must fail. */
const LIMIT_MS = 30_000;

const isPending = (promise) => inspect(promise).includes('<pending>');

describe('a call with a cached token', { timeout: LIMIT_MS }, () => {
  it('returns the same promise while the token is the same', async (t) => {
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

  it('makes no native call, with or without options', async (t) => {
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

  it('stops returning the token before it expires, even in a loop that blocks the event loop', async (t) => {
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
    // The manager does not use the last quarter of such a short life.
    assert.ok(age >= 0.7 && age < life, `returned for ${age} s`);
    const next = manager.getToken();
    assert.ok(isPending(next), 'the next promise is pending');
    assert.notEqual(await next, first);
    assert.equal(endpoint.requestCount, 2);
  });
});

describe('a fault', { timeout: LIMIT_MS }, () => {
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

  it('of the native side in the constructor is an internal error, not an error in the options', async (t) => {
    const { open } = await start(t);
    t.mock.method(native, 'open', throwFault);
    assert.throws(() => open(), isInternal(fault));
  });

  it('of the native side rejects the promise of a call', async (t) => {
    const { manager } = await start(t);
    const mocked = ['ask', 'close'].map((name) =>
      t.mock.method(native.Core.prototype, name, throwFault),
    );
    const calls = [
      () => manager.getToken(),
      () => manager.getToken({ forceRefresh: true }),
      () => manager.getAccessToken(),
      () => manager.getTokenForStreaming(1),
      () => manager.close(),
    ];
    for (const call of calls) await assert.rejects(call(), isInternal(fault));
    for (const { mock } of mocked) mock.restore();
  });

  it('in a call on another object rejects the promise', async (t) => {
    const { manager } = await start(t);
    const others = [undefined, {}, new Proxy(manager, {}), Object.create(manager)];
    for (const name of ['getToken', 'getAccessToken', 'getTokenForStreaming', 'close']) {
      for (const other of others) {
        const error = await rejection(manager[name].call(other), 'ERR_KEYCLOAK_REQUEST');
        assert.ok(error.message.endsWith(`call it as manager.${name}()`), error.message);
      }
    }
  });

  it('in the signal of a call rejects the promise', async (t) => {
    const { manager } = await start(t);
    const fail = () => {
      throw new Error('from the signal');
    };
    const signal = { aborted: false, addEventListener: fail, removeEventListener: fail };
    await rejection(manager.getToken({ signal }), 'ERR_KEYCLOAK_REQUEST');
    let reads = 0;
    const changing = {
      ...signal,
      get aborted() {
        reads += 1;
        return reads > 1 ? fail() : false;
      },
    };
    await rejection(manager.getToken({ signal: changing }), 'ERR_KEYCLOAK_REQUEST');
    assert.match(await manager.getToken(), /^ey/);
  });

  it('of the native side makes a method that returns no promise throw', async (t) => {
    const { manager } = await start(t);
    for (const method of ['clear', 'invalidate', 'snapshot']) {
      t.mock.method(native.Core.prototype, method, throwFault);
    }
    for (const method of ['clearCache', 'invalidateToken', 'snapshot']) {
      assert.throws(() => manager[method]('token'), isInternal(fault), method);
    }
  });
});

// If the runtime forbids external memory, JavaScript gets a copy of the buffer.
describe('without shared memory', { timeout: LIMIT_MS }, () => {
  async function startUnshared(t, options, endpointOptions) {
    t.mock.method(native.Core.prototype, 'memory', () => {
      const copy = new ArrayBuffer(24);
      new Int32Array(copy)[0] = 1;
      return copy;
    });
    return start(t, options, endpointOptions);
  }

  it('the native side holds the tokens, and every call asks it', async (t) => {
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

  it('the native side returns no dropped or expired token', async (t) => {
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
});

describe('a token', { timeout: LIMIT_MS }, () => {
  const [COUNT, BYTES] = [50, 50_000];
  const heapBytes = () => {
    globalThis.gc();
    return getHeapStatistics().used_heap_size;
  };

  for (const [name, isCopy] of [
    ['shares the memory of the native side', false],
    ['is a copy where the runtime cannot share memory', true],
  ]) {
    it(`${name}, and stays the same after the manager has replaced it and closed`, async (t) => {
      // The function takes effect for the rest of this process.
      if (isCopy) native.copyTokens();
      const { manager } = await start(t, {}, { tokenSize: BYTES });
      await manager.getToken();
      const before = heapBytes();
      const received = [];
      for (let round = 0; round < COUNT; round += 1) {
        const token = await manager.getToken({ forceRefresh: true });
        received.push({ token, bytes: Buffer.from(token) });
      }
      const grown = heapBytes() - before;
      assert.equal(grown > (COUNT * BYTES) / 2, isCopy, `${grown} bytes`);
      await manager.close();
      for (const { token, bytes } of received) assert.equal(token, bytes.toString());
      assert.equal(new Set(received.map(({ token }) => token)).size, COUNT);
    });
  }
});
