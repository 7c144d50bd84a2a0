'use strict';

// Our side with telemetry: with the metrics, or the metrics and spans, of a real OpenTelemetry SDK,
// or with a subscriber on every channel. A program with subscribers measures no other side of ours,
// because the channels belong to the process.

const { subscribe } = require('node:diagnostics_channel');
const { loadPackages, startSdk } = require('../__test__/telemetry/support.js');

const NAME = 'keycloak-token-manager';
const CHANNELS = [
  ...['start', 'end', 'asyncStart', 'asyncEnd', 'error'].map(
    (event) => `tracing:${NAME}:acquisition:${event}`,
  ),
  ...['invalidation', 'cooldown'].map((name) => `${NAME}:${name}`),
];

const ATTRIBUTES = {
  'server.address': '127.0.0.1',
  'server.port': 8080,
  'keycloak.client.id': 'bench',
  'keycloak.client.name': 'bench',
};
const SPAN_ATTRIBUTES = {
  ...ATTRIBUTES,
  'keycloak.client.token.cause': 'forced',
  'keycloak.client.grant_type': 'client_credentials',
};

/**
 * Each function takes `makeOurs`, which creates our manager, and returns a function that does so
 * with telemetry. The sides whose names start with `sdk` make the same SDK calls without the
 * package's telemetry.
 */
const makers = {
  async metrics(makeOurs) {
    const { meterProvider } = await exportingSdk();
    return instrumented(makeOurs, { meterProvider });
  },
  async spans(makeOurs) {
    return instrumented(makeOurs, (await exportingSdk()).pick);
  },
  async sdkMetrics(makeOurs) {
    const { record, context } = await bareSdk();
    return observed(makeOurs, (start) => record(start, context));
  },
  async sdkSpans(makeOurs) {
    const { record, context, tracer, api } = await bareSdk();
    return observed(makeOurs, (start) => {
      const startTime = Date.now();
      const kind = api.SpanKind.CLIENT;
      const options = { kind, root: true, startTime, attributes: SPAN_ATTRIBUTES };
      const span = tracer.startSpan('acquire token', options, context);
      span.end(Date.now());
      record(start, api.trace.setSpan(context, span));
    });
  },
  async subscribed(makeOurs) {
    for (const name of CHANNELS) subscribe(name, () => {});
    return makeOurs;
  },
};

/** An SDK that exports spans in batches, as programs in production do. */
async function exportingSdk() {
  const packages = await loadPackages();
  const exporter = { export: (_spans, done) => done({ code: 0 }), shutdown: async () => {} };
  const processorOf = ({ BatchSpanProcessor }) => new BatchSpanProcessor(exporter);
  return { packages, ...startSdk(undefined, packages, processorOf) };
}

async function bareSdk() {
  const { packages, meterProvider, tracerProvider } = await exportingSdk();
  const api = packages.load('@opentelemetry/api');
  const histogram = meterProvider.getMeter(NAME).createHistogram('duration', {
    valueType: api.ValueType.DOUBLE,
  });
  const record = (start, context) =>
    histogram.record((performance.now() - start) / 1_000, ATTRIBUTES, context);
  const tracer = tracerProvider.getTracer(NAME);
  return { api, context: api.ROOT_CONTEXT, record, tracer };
}

/** After each call of `getToken`, calls `record` with the time at which the call started. */
function observed(makeOurs, record) {
  return (...args) => {
    const manager = makeOurs(...args);
    return {
      async getToken(options) {
        const start = performance.now();
        const token = await manager.getToken(options);
        record(start);
        return token;
      },
    };
  };
}

function instrumented(makeOurs, providers) {
  const { instrument } = require('../lib/opentelemetry');
  return (...args) => {
    const manager = makeOurs(...args);
    instrument(manager, providers);
    return manager;
  };
}

module.exports = { makers };
