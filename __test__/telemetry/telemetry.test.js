'use strict';

// Metrics and spans with the OpenTelemetry SDK of Red Hat Developer Hub and its Prometheus exporter.

const assert = require('node:assert/strict');
const { readFileSync } = require('node:fs');
const path = require('node:path');
const { after, describe, test } = require('node:test');
const v8 = require('node:v8');
const vm = require('node:vm');
const api = require('@opentelemetry/api');
const yaml = require('js-yaml');
const { KeycloakTokenManager } = require('../..');
const { instrument } = require('../../lib/opentelemetry');
const {
  CLIENT,
  delay,
  openManager,
  start,
  startNumbered,
  times,
  until,
} = require('../support/manager.js');
const { firing } = require('./promql.js');
const {
  DURATION,
  METRICS,
  assertAgreement,
  assertDocumented,
  page,
  withoutTotal,
} = require('./documented.js');
const { startSdk, usePackages, valueIn } = require('./support.js');

const LIMIT_MS = 30_000;
const MOST_SCRAPES = 400;
const DOCS = path.join(__dirname, '..', '..', 'docs');
const { groups } = yaml.load(readFileSync(path.join(DOCS, 'observability', 'alerts.yaml'), 'utf8'));
const dashboard = readFileSync(path.join(DOCS, 'observability', 'dashboard.json'), 'utf8');

const REFUSED = { status: 401, body: { error: 'invalid_client' } };
const isCounter = ({ name }) => !name.startsWith(DURATION) && !name.endsWith('_remaining');
const caught = (promise) => promise.catch(() => {});
const ended = (manager, count) =>
  until(() => manager.snapshot().acquisitionLatencyMs.count === count, `${count} acquisitions end`);

/** The events, and the attributes of their spans that differ from those of a plain acquisition. */
const RUNS = {
  'a hit, and calls that share a request': {
    async act({ manager }) {
      await Promise.all(times(3, () => manager.getToken()));
      await manager.getToken();
    },
    spans: [{}],
  },
  'a retry': {
    act({ manager, endpoint }) {
      endpoint.answerNext({ status: 503 });
      return manager.getToken();
    },
    spans: [{ 'http.request.resend_count': 1 }],
  },
  'a refused client, and a suppressed call': {
    async act({ manager, endpoint }) {
      endpoint.answerNext(REFUSED);
      await caught(manager.getToken());
      await caught(manager.getToken());
    },
    spans: [{ 'error.type': 'ERR_KEYCLOAK_OAUTH', 'http.response.status_code': 401 }],
  },
  'a server that is down': {
    async act({ manager, endpoint }) {
      await endpoint.goOffline();
      await caught(manager.getToken({ signal: AbortSignal.timeout(10) }));
      await ended(manager, 1);
    },
    options: { requestTimeoutMs: 100 },
    spans: [{ 'error.type': /^ERR_KEYCLOAK_(NETWORK|TIMEOUT)$/ }],
  },
  'a forced refresh, and one after a rejection': {
    async act({ manager }) {
      await manager.getToken();
      manager.invalidateToken(await manager.getToken({ forceRefresh: true }));
      await manager.getToken();
    },
    spans: [
      {},
      { 'keycloak.client.token.cause': 'forced' },
      { 'keycloak.client.token.cause': 'rejected' },
    ],
  },
  'a background refresh': {
    async act({ manager }) {
      await manager.getToken();
      await manager.getToken();
      await ended(manager, 2);
    },
    expiresIn: 3,
    spans: [{}, { 'keycloak.client.token.cause': 'refresh' }],
  },
  'a derived manager': {
    async act({ manager }) {
      await manager.for({ scope: 'reports' }).getToken();
      await manager.onBehalfOf('a.b.c').getToken();
    },
    spans: [
      {},
      { 'keycloak.client.grant_type': 'urn:ietf:params:oauth:grant-type:token-exchange' },
    ],
  },
};

/** A provider that keeps the callbacks in use. */
function recordingProvider(record = () => {}) {
  const callbacks = new Set();
  const make = () => ({ record });
  const meter = {
    createHistogram: make,
    createObservableCounter: make,
    createObservableGauge: make,
    addBatchObservableCallback: (callback) => callbacks.add(callback),
    removeBatchObservableCallback: (callback) => callbacks.delete(callback),
  };
  return { meterProvider: { getMeter: () => meter }, callbacks };
}

describe('OpenTelemetry', { timeout: 3 * LIMIT_MS }, () => {
  const packages = usePackages();

  for (const [name, { act, spans: expected, options, expiresIn }] of Object.entries(RUNS)) {
    test(`has the documented series and spans after ${name}`, async (t) => {
      const sdk = startSdk(t, packages);
      const { manager, endpoint } = await startNumbered(t, expiresIn, {
        name: 'portal',
        ...options,
      });
      const end = instrument(manager, sdk.pick);
      await act({ manager, endpoint });
      await until(() => sdk.spans().length >= expected.length, 'the spans end');
      const samples = withoutTotal(await sdk.scrape());
      const snapshot = manager.snapshot();
      const port = new URL(endpoint.url).port;
      assertDocumented(samples, { server_port: port, keycloak_client_name: 'portal' });
      const failures = expected.filter((span) => 'error.type' in span).length;
      assertAgreement(samples, snapshot, { acquired: expected.length - failures, failures });

      for (const [index, span] of sdk.spans().entries()) {
        const { attributes, kind, parentSpanId, links, status } = span;
        assert.equal(span.name, 'acquire token');
        assert.deepEqual([kind, parentSpanId, links], [api.SpanKind.CLIENT, undefined, []]);
        const plain = {
          'server.address': '127.0.0.1',
          'server.port': Number(port),
          'keycloak.client.id': 'test-client',
          'keycloak.client.name': 'portal',
          'keycloak.client.token.cause': 'miss',
          'keycloak.client.grant_type': 'client_credentials',
        };
        const wanted = { ...plain, ...expected[index] };
        assert.deepEqual(Object.keys(attributes).sort(), Object.keys(wanted).sort());
        for (const [attribute, value] of Object.entries(wanted)) {
          if (value instanceof RegExp) assert.match(attributes[attribute], value);
          else assert.equal(attributes[attribute], value, attribute);
          assert.ok(page.includes(`\`${attribute}\``), `${attribute} is not documented`);
        }
        const isError = 'error.type' in wanted;
        assert.equal(status.code, isError ? api.SpanStatusCode.ERROR : api.SpanStatusCode.UNSET);
      }
      // The SDK repeats the last values of a callback that no longer exists.
      end();
      manager.invalidateToken('another token');
      await caught(manager.getToken({ forceRefresh: true }));
      assert.deepEqual(
        withoutTotal(await sdk.scrape()).filter(isCounter),
        samples.filter(isCounter),
      );
      assert.equal(sdk.spans().length, expected.length);
    });
  }

  test('links the span to the span of the call that started the request', async (t) => {
    const { AsyncLocalStorageContextManager } = packages.load('@opentelemetry/context-async-hooks');
    api.context.setGlobalContextManager(new AsyncLocalStorageContextManager().enable());
    t.after(() => api.context.disable());
    const sdk = startSdk(t, packages);
    const { manager } = await startNumbered(t, 300);
    instrument(manager, sdk.pick);
    const tracer = sdk.tracerProvider.getTracer('test');
    const inSpan = (name, call) =>
      tracer.startActiveSpan(name, async (span) => {
        await call();
        span.end();
        return span.spanContext();
      });
    const [caller] = await Promise.all([
      inSpan('first', () => manager.getToken()),
      inSpan('second', () => manager.getToken()),
    ]);
    const own = sdk.spans().filter(({ name }) => name === 'acquire token');
    assert.equal(own.length, 1);
    assert.deepEqual(
      own[0].links.map(({ context }) => context.spanId),
      [caller.spanId],
    );
    assert.equal(own[0].parentSpanId, undefined);
    assert.notEqual(own[0].spanContext().traceId, caller.traceId);
  });

  test('sends traceparent only if the option asks for it and a span is active', async (t) => {
    const { AsyncLocalStorageContextManager } = packages.load('@opentelemetry/context-async-hooks');
    const { W3CTraceContextPropagator } = packages.load('@opentelemetry/core');
    api.context.setGlobalContextManager(new AsyncLocalStorageContextManager().enable());
    api.propagation.setGlobalPropagator(new W3CTraceContextPropagator());
    t.after(() => [api.context.disable(), api.propagation.disable()]);
    const { tracerProvider } = startSdk(t, packages);
    const { endpoint, open } = await startNumbered(t, 3);
    const tracer = tracerProvider.getTracer('test');
    const sent = () => endpoint.requests.map(({ headers }) => headers.traceparent);
    const inSpan = (call) =>
      tracer.startActiveSpan('caller', async (span) => {
        await call();
        const { traceId, spanId } = span.spanContext();
        return `00-${traceId}-${spanId}-01`;
      });
    const expected = [];
    const manager = open({ propagateTraceContext: true, headers: { 'x-key': 'k' } });
    expected.push(await inSpan(() => manager.getToken()));
    expected.push(await inSpan(() => manager.for({ scope: 'a' }).getToken()));
    expected.push(await inSpan(() => manager.getToken({ forceRefresh: true })));
    await manager.getToken({ forceRefresh: true });
    expected.push(undefined);
    await inSpan(() => open().getToken());
    expected.push(undefined);
    assert.deepEqual(sent(), expected);
    // A refresh carries no context, even if a call in a span starts it.
    await inSpan(() => manager.getToken());
    await endpoint.waitForRequests(expected.length + 1);
    assert.equal(sent().at(-1), undefined);
    assert.equal(endpoint.requests[0].headers['x-key'], 'k');
  });

  test('uses a meter provider that the program sets after it has loaded the package', async (t) => {
    const { manager } = await startNumbered(t, 300);
    const sdk = startSdk(t, packages);
    api.metrics.setGlobalMeterProvider(sdk.meterProvider);
    t.after(() => api.metrics.disable());
    instrument(manager);
    await manager.getToken();
    const samples = await sdk.scrape();
    assert.equal(valueIn(samples, `${DURATION}_count`), 1, 'without a tracer provider');
  });

  test("hides a provider's exceptions from callers", async (t) => {
    const fail = () => assert.fail('a provider that throws');
    const { meterProvider } = recordingProvider(fail);
    const tracerProvider = { getTracer: () => ({ startSpan: fail }) };
    const { manager } = await startNumbered(t, 300);
    instrument(manager, { meterProvider, tracerProvider });
    assert.equal(await manager.getToken(), 'token-1');
  });

  test('refuses an invalid manager and invalid options', async (t) => {
    const { manager } = await startNumbered(t, 300);
    for (const [args, message] of [
      [[undefined], /expected a KeycloakTokenManager/],
      [[manager.for({ scope: 'a' })], /A derived manager reports/],
      [[manager, { meterProvider: {} }], /meterProvider: expected a MeterProvider/],
      [[manager, { tracerProvider: 1 }], /tracerProvider: expected a TracerProvider/],
      [[manager, { meter: {} }], /"meter": no such option/],
      [[manager, null], /expected an object/],
    ]) {
      assert.throws(() => instrument(...args), { code: 'ERR_KEYCLOAK_REQUEST', message });
    }
  });

  test('does not keep a manager alive after the program has dropped or closed it', async (t) => {
    v8.setFlagsFromString('--expose-gc');
    const collect = vm.runInNewContext('gc');
    const { endpoint } = await start(t);
    const { tokenEndpoint } = endpoint;
    const { meterProvider, callbacks } = recordingProvider();
    const make = () => {
      const manager = new KeycloakTokenManager({ ...CLIENT, tokenEndpoint });
      const end = instrument(manager, { meterProvider });
      return { reference: new WeakRef(manager), end, token: manager.getToken() };
    };
    const { reference, end, token } = make();
    await token;
    assert.equal(callbacks.size, 1);
    await until(() => {
      collect();
      return reference.deref() === undefined && callbacks.size === 0;
    }, 'the manager and its callback are gone');
    end();
    const manager = openManager(t, { tokenEndpoint });
    instrument(manager, { meterProvider });
    assert.equal(callbacks.size, 1);
    await manager.close();
    assert.equal(callbacks.size, 0);
    instrument(manager, { meterProvider });
    assert.equal(callbacks.size, 0, 'a closed manager reports nothing');
  });

  test('the alert rules fire in an outage and stop after it', { timeout: 60_000 }, async (t) => {
    const sdk = startSdk(t, packages);
    const { manager, endpoint } = await startNumbered(t, 4, { requestTimeoutMs: 500 });
    instrument(manager, sdk.pick);
    const [{ rules }] = groups;
    // A second of this test counts as 20 seconds, so the token lifetime of 4 s counts as 80 s.
    const scale = 20;
    const scrapes = [];
    const seen = new Map();
    const started = performance.now();
    const scrape = async () => {
      assert.ok(scrapes.length < MOST_SCRAPES, `only ${[...seen.keys()]}`);
      await caught(manager.getToken());
      const at = ((performance.now() - started) / 1_000) * scale;
      scrapes.push({ at, samples: await sdk.scrape() });
      const names = firing(rules, scrapes).map(({ alert }) => alert);
      for (const name of names) if (!seen.has(name)) seen.set(name, at);
      await delay(100);
      return names;
    };
    while (manager.snapshot().acquisitionLatencyMs.count < 3) assert.deepEqual(await scrape(), []);
    await endpoint.goOffline();
    const outage = scrapes.at(-1).at;
    while (seen.size < 3) await scrape();
    assert.deepEqual([...seen.keys()].sort(), rules.map(({ alert }) => alert).sort());
    assert.ok(seen.get('KeycloakTokenMissing') - outage >= 60, 'not before its time');
    assert.ok(seen.get('KeycloakTokenRefreshFailing') - outage >= 150, 'not before its time');
    await endpoint.goOnline();
    await until(
      () => manager.getToken().then(Boolean, () => false),
      'the manager recovers',
      10_000,
    );
    const recovered = await scrape();
    assert.deepEqual(recovered, ['KeycloakTokenCoolDown'], 'a success ends the others');
    while ((await scrape()).length > 0) assert.notEqual(manager.snapshot().state, 'failing');
  });

  test('the dashboard shows documented series only', () => {
    // A selector accepts the names of several exporters: `hits(_total)?`.
    const names = dashboard.match(/keycloak_client_token_[\w()?]+/g);
    const used = new Set(names.map((name) => name.replace(/\(\w+\)\?/g, '')));
    const documented = METRICS.flatMap(({ series }) => series);
    assert.deepEqual(
      [...used].filter((name) => !documented.includes(name)),
      [],
    );
    const shown = METRICS.filter(({ series }) => series.some((name) => used.has(name)));
    assert.equal(shown.length, METRICS.length, 'and every metric');
  });

  test('the picture of the dashboard shows every panel', () => {
    const picture = readFileSync(path.join(DOCS, 'observability', 'dashboard.svg'), 'utf8');
    const drawn = Array.from(
      picture.matchAll(/font-weight="bold">([^<]*)</g),
      ([, title]) => title,
    );
    const titles = JSON.parse(dashboard).panels.map(({ title }) => title);
    assert.deepEqual(drawn, titles, 'if the panels differ, run node tools/draw-dashboard.js');
  });

  after(() => api.metrics.disable());
});
