'use strict';

// The channels of `node:diagnostics_channel`, with the fake token endpoint.

const assert = require('node:assert/strict');
const { AsyncLocalStorage } = require('node:async_hooks');
const { subscribe, tracingChannel, unsubscribe } = require('node:diagnostics_channel');
const Module = require('node:module');
const { describe, test } = require('node:test');
const { run } = require('./programs');
const { start, startNumbered, times, until } = require('./support/manager.js');

const LIMIT_MS = 20_000;
const NAME = 'keycloak-token-manager';
const EVENTS = ['start', 'end', 'asyncStart', 'asyncEnd', 'error'];
const GRANTED = `urn:ietf:params:oauth:grant-type:token-exchange`;

// The shape of Node 20.9, whose tracing channels lack this property.
const { prototype } = tracingChannel(NAME).constructor;
Object.defineProperty(prototype, 'hasSubscribers', { value: undefined, configurable: true });

/** Collects the messages of all channels until the test ends, as `[name, copy of the message]`. */
function listen(t, onMessage = () => {}) {
  const messages = [];
  const names = [
    ...EVENTS.map((event) => `tracing:${NAME}:acquisition:${event}`),
    ...['invalidation', 'cooldown'].map((name) => `${NAME}:${name}`),
  ];
  for (const name of names) {
    const note = (message) => {
      messages.push([name.split(':').at(-1), { ...message }]);
      onMessage(name.split(':').at(-1), message);
    };
    subscribe(name, note);
    t.after(() => unsubscribe(name, note));
  }
  const of = (event) => messages.filter(([name]) => name === event).map(([, message]) => message);
  return { messages, names: () => messages.map(([name]) => name), of };
}

const acquired = ['start', 'end', 'asyncStart', 'asyncEnd'];
const closed = ['error', 'asyncStart', 'asyncEnd'];
const failed = ['start', 'end', 'error', 'asyncStart', 'asyncEnd', 'cooldown'];
const REFUSED = { status: 401, body: { error: 'invalid_client' } };
const caught = (promise) => promise.catch(() => {});

/** The calls, their events in order, and properties of the last acquisition's message. */
const ACQUISITIONS = {
  'a call without a token': {
    act: ({ manager }) => manager.getToken(),
    events: acquired,
    last: { cause: 'miss', outcome: 'acquired', attempts: 1, grantType: 'client_credentials' },
  },
  'ten calls that share a request': {
    act: ({ manager }) => Promise.all(times(10, () => manager.getToken())),
    events: acquired,
    last: { cause: 'miss', attempts: 1 },
  },
  'calls that the cache answers': {
    async act({ manager }) {
      for (const _ of times(5)) await manager.getToken();
    },
    events: acquired,
    last: { cause: 'miss' },
  },
  'a forced refresh': {
    async act({ manager }) {
      await manager.getToken();
      await manager.getToken({ forceRefresh: true });
    },
    events: [...acquired, ...acquired],
    last: { cause: 'forced', outcome: 'acquired' },
  },
  'a call after a rejection': {
    async act({ manager }) {
      manager.invalidateToken(await manager.getToken());
      await manager.getToken();
    },
    events: [...acquired, 'invalidation', ...acquired],
    last: { cause: 'rejected', outcome: 'acquired' },
  },
  'a request that succeeds on the second attempt': {
    act({ manager, endpoint }) {
      endpoint.answerNext({ status: 503 });
      return manager.getToken();
    },
    events: acquired,
    last: { cause: 'miss', outcome: 'acquired', attempts: 2 },
  },
  'a refused client': {
    act({ manager, endpoint }) {
      endpoint.answerNext(REFUSED);
      return caught(manager.getToken());
    },
    events: failed,
    last: { cause: 'miss', outcome: 'ERR_KEYCLOAK_OAUTH', attempts: 1 },
  },
  'a failure and a recovery': {
    async act({ manager, endpoint }) {
      endpoint.answerNext(...times(3, () => ({ status: 503 })));
      endpoint.setAnswer({ status: 503 });
      await caught(manager.getToken({ signal: AbortSignal.timeout(50) }));
      await until(() => manager.snapshot().state === 'failing', 'the acquisition fails');
      endpoint.restore();
      await until(() => manager.getToken().then(Boolean, () => false), 'the manager recovers');
    },
    options: { requestTimeoutMs: 1_000 },
    events: [...failed, ...acquired, 'cooldown'],
    last: { cause: 'miss', outcome: 'acquired' },
  },
  'a background refresh': {
    async act({ manager, endpoint }) {
      await manager.getToken();
      await manager.getToken();
      await endpoint.waitForRequests(2);
      await until(() => manager.snapshot().acquisitionLatencyMs.count === 2, 'it arrives');
    },
    expiresIn: 3,
    events: [...acquired, ...acquired],
    last: { cause: 'refresh', outcome: 'acquired' },
  },
  'a token exchange': {
    act: ({ manager, endpoint }) =>
      manager.onBehalfOf(endpoint.issueToken({ sub: 'jane', azp: 'test-client' })).getToken(),
    events: acquired,
    last: { cause: 'miss', outcome: 'acquired', grantType: GRANTED },
    isReal: true,
  },
  'another scope': {
    act: ({ manager }) => manager.for({ scope: 'reports' }).getToken(),
    events: acquired,
    last: { cause: 'miss', grantType: 'client_credentials' },
    isReal: true,
  },
};

describe('the channel of acquisitions', { timeout: LIMIT_MS }, () => {
  for (const [name, row] of Object.entries(ACQUISITIONS)) {
    test(`reports ${name}`, async (t) => {
      const { act, events, last, expiresIn, options = {}, isReal } = row;
      const seen = listen(t);
      const all = { name: 'the name', ...options };
      const parts = isReal ? await start(t, all) : await startNumbered(t, expiresIn, all);
      if (isReal) parts.manager.close();
      const manager = parts.open({ name: 'the name' });
      await act({ ...parts, manager });
      await until(() => seen.names().length >= events.length, `${events}, not ${seen.names()}`);
      assert.deepEqual(seen.names(), events);
      const [first] = seen.of('start');
      const port = Number(new URL(parts.endpoint.url).port);
      const origin = { manager: 'the name', clientId: 'test-client' };
      const server = { serverAddress: '127.0.0.1', serverPort: port };
      const { cause, grantType, startedAt } = first;
      assert.deepEqual(first, { ...origin, ...server, cause, grantType, startedAt });
      assert.ok(Math.abs(Date.now() - startedAt) < LIMIT_MS, `${startedAt}`);
      const end = seen.of('asyncEnd').at(-1);
      for (const [member, value] of Object.entries(last)) assert.equal(end[member], value, member);
      assert.ok(end.durationSeconds >= 0 && end.durationSeconds < 10, `${end.durationSeconds}`);
      assert.equal(end.error?.code, end.outcome === 'acquired' ? undefined : end.outcome);
    });
  }

  test('agrees with the snapshot about durations', async (t) => {
    const seen = listen(t);
    const { manager } = await startNumbered(t, 300);
    for (const _ of times(3)) await manager.getToken({ forceRefresh: true });
    const durations = seen.of('asyncEnd').map(({ durationSeconds }) => durationSeconds * 1_000);
    const sum = durations.reduce((total, duration) => total + duration, 0);
    const { acquisitionLatencyMs: latency } = manager.snapshot();
    assert.deepEqual([durations.length, latency.count], [3, 3]);
    assert.ok(Math.abs(sum - latency.sum) < 1e-6, `${sum} ${latency.sum}`);
  });

  test('publishes the start in the context of the call that starts the request', async (t) => {
    const storage = new AsyncLocalStorage();
    const contexts = [];
    listen(t, (name) => name === 'start' && contexts.push(storage.getStore()));
    const { manager, endpoint } = await startNumbered(t, 300);
    const call = (context, options) => storage.run(context, () => manager.getToken(options));
    await Promise.all([call('first'), call('second')]);
    await call('hit');
    const slow = call('forced', { forceRefresh: true });
    await Promise.all([slow, call('forced later', { forceRefresh: true })]);
    // The last call starts a request of its own if the native side has already sent the one before.
    assert.ok(endpoint.requestCount >= 2);
    assert.deepEqual(contexts, ['first', 'forced', 'forced later'].slice(0, endpoint.requestCount));
  });

  test('reports the end of an acquisition that started before the first subscription', async (t) => {
    const { manager, endpoint } = await startNumbered(t, 300);
    endpoint.pause();
    const token = manager.getToken();
    await endpoint.waitForRequests(1);
    const seen = listen(t);
    endpoint.resume();
    await token;
    await until(() => seen.names().length === 4, 'the end');
    assert.deepEqual(seen.names(), acquired);
  });

  test('ends the acquisition of a closed manager', async (t) => {
    const seen = listen(t);
    const { manager, endpoint } = await start(t);
    const subject = endpoint.issueToken({ sub: 'jane', azp: 'test-client' });
    endpoint.pause();
    const calls = [manager.getToken(), manager.onBehalfOf(subject).getToken()].map(caught);
    await endpoint.waitForRequests(2);
    await manager.close();
    await Promise.all(calls);
    assert.deepEqual(seen.names(), ['start', 'end', 'start', 'end', ...closed, ...closed]);
    for (const { outcome, error } of seen.of('asyncEnd')) {
      assert.deepEqual([outcome, error.code], ['ERR_KEYCLOAK_CLOSED', 'ERR_KEYCLOAK_CLOSED']);
    }
    endpoint.resume();
  });

  test("hides a subscriber's exception from callers", async (t) => {
    const { thrown, tokens } = await run(t, 'telemetry.js', ['throwing']).result();
    assert.deepEqual(tokens, ['token-1', 'token-2']);
    assert.deepEqual(
      thrown,
      times(9, () => 'a subscriber that throws'),
    );
  });
});

describe('the channels of invalidations and cool-downs', { timeout: LIMIT_MS }, () => {
  test('report each outcome', async (t) => {
    const seen = listen(t);
    const { manager, endpoint } = await startNumbered(t, 300);
    const first = await manager.getToken();
    manager.invalidateToken(first);
    const second = await manager.getToken();
    manager.invalidateToken(first);
    manager.invalidateToken(second);
    manager.clearCache();
    manager.clearCache();
    const outcomes = seen.of('invalidation').map(({ reason, outcome }) => [reason, outcome]);
    assert.deepEqual(outcomes, [
      ['rejected', 'dropped'],
      ['rejected', 'ignored'],
      ['rejected', 'kept'],
      ['cleared', 'dropped'],
    ]);
    const dropped = outcomes.filter(([, outcome]) => outcome === 'dropped').length;
    assert.equal(manager.snapshot().counters.invalidations, dropped);
    endpoint.answerNext(REFUSED);
    await caught(manager.getToken());
    await caught(manager.getToken());
    const [coolDown, ...others] = seen.of('cooldown');
    assert.deepEqual(others, [], 'a call during the cool-down starts none');
    assert.equal(coolDown.manager, 'test-client');
    assert.deepEqual(
      [coolDown.state, coolDown.code, coolDown.failures],
      ['started', 'ERR_KEYCLOAK_OAUTH', 1],
    );
    assert.ok(coolDown.seconds >= 1 && coolDown.seconds <= 1.25, `${coolDown.seconds}`);
  });
});

test('without @opentelemetry/api, the error names the package', async (t) => {
  const { open, manager } = await startNumbered(t, 300);
  const load = Module._load;
  t.mock.method(Module, '_load', (name, ...others) => {
    if (name === '@opentelemetry/api') throw new Error('not installed');
    return load.call(Module, name, ...others);
  });
  const { instrument } = require('../lib/opentelemetry');
  const message = /^(propagateTraceContext|instrument) needs the package @opentelemetry\/api/;
  const code = 'ERR_KEYCLOAK_CONFIG';
  assert.throws(() => open({ propagateTraceContext: true }), { code, message });
  assert.throws(() => instrument(manager), { code, message });
  assert.equal(await manager.getToken(), 'token-1');
});
