'use strict';

// OpenTelemetry metrics and spans of a manager. `instrument` creates the instruments for each
// manager, not when a program loads this module, because a meter that was created before the SDK
// started never records a value.

const { KeycloakTokenError } = require('../../index.js');
const { version } = require('../../package.json');
const { openTelemetryApi } = require('../opentelemetry-api.js');
const observe = require('../observe.js');

const SCOPE = 'keycloak-token-manager';
const PREFIX = 'keycloak.client.token';
const MS_PER_SECOND = 1_000;
/** The buckets, in seconds, of `http.client.request.duration` in the semantic conventions. */
const BUCKETS = [0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10];
const CLOSED = 'ERR_KEYCLOAK_CLOSED';

/** The metrics for the counters of a snapshot, with their units and descriptions. */
const COUNTERS = {
  hits: ['{call}', 'Calls that the manager answered with the cached token.'],
  joins: ['{call}', 'Calls that waited for the token request of another call.'],
  retries: ['{request}', 'Token requests after the first in an acquisition.'],
  invalidations: ['{token}', 'Tokens that an API rejected or a caller cleared.'],
  suppressed: ['{call}', 'Calls that failed immediately because of a cool-down.'],
  storeHits: ['{token}', 'Tokens that the shared store provided.'],
  storeFailures: ['{call}', 'Calls to the shared store that failed or took too long.'],
};

/** Removes the callback of a manager after the garbage collector has collected the manager. */
const collected = new FinalizationRegistry((removeCallback) => removeCallback());

function instrument(manager, options = {}) {
  if (typeof manager?.[observe] !== 'function') {
    throw wrong(
      'expected a KeycloakTokenManager. A derived manager reports through the manager from which ' +
        'it was derived; in Backstage, set telemetry: true in the section with the credentials',
    );
  }
  const { meterProvider, tracerProvider } = checked(options);
  const api = openTelemetryApi('instrument');
  const meter = (meterProvider ?? api.metrics.getMeterProvider()).getMeter(SCOPE, version);
  const tracers = tracerProvider ?? api.trace.getTracerProvider();
  const telemetry = new Telemetry(api, manager, meter, tracers);
  const reference = new WeakRef(telemetry);
  return () => reference.deref()?.end();
}

function checked(options) {
  if (typeof options !== 'object' || options === null) throw wrong('expected an object of options');
  const { meterProvider, tracerProvider, ...others } = options;
  const [unknown] = Object.keys(others);
  if (unknown !== undefined) throw wrong(`${JSON.stringify(unknown)}: no such option`);
  const isProvider = (value, method) =>
    value === undefined || typeof value?.[method] === 'function';
  if (!isProvider(meterProvider, 'getMeter'))
    throw wrong('meterProvider: expected a MeterProvider');
  if (!isProvider(tracerProvider, 'getTracer')) {
    throw wrong('tracerProvider: expected a TracerProvider');
  }
  return { meterProvider, tracerProvider };
}

function wrong(text) {
  const message = `instrument: ${text}`;
  return new KeycloakTokenError({ code: 'ERR_KEYCLOAK_REQUEST', message, retryable: false });
}

/**
 * The telemetry of one manager. The manager holds it; the global providers refer to it only weakly.
 */
class Telemetry {
  #api;
  #manager;
  /** The provider of the tracer, and the tracer as soon as the provider has an SDK. */
  #tracers;
  #tracer;
  /** The last origin of the messages, and the attributes that belong to it. */
  #origin;
  #common;
  #duration;
  #observed;
  #removeCallback;

  constructor(api, manager, meter, tracers) {
    this.#api = api;
    this.#manager = manager;
    this.#tracers = tracers;
    this.#duration = meter.createHistogram(`${PREFIX}.acquisition.duration`, {
      unit: 's',
      description: 'Duration of each acquisition of a token, including all attempts.',
      valueType: api.ValueType.DOUBLE,
      advice: { explicitBucketBoundaries: BUCKETS },
    });
    this.#removeCallback = observeSnapshots(api, meter, new WeakRef(this));
    this.#observed = manager[observe](this);
    collected.register(this, this.#removeCallback, this);
  }

  end() {
    this.#observed.remove();
    this.closed();
  }

  /** The manager calls `wantsContext`, `ended` and `closed`. */
  wantsContext() {
    return this.#callersSpan() !== undefined;
  }

  ended(message) {
    const { durationSeconds, error } = message;
    // An acquisition that ended because the manager was closed has no result.
    if (error?.code === CLOSED) return;
    const common = this.#attributes();
    const attributes = error === undefined ? common : { ...common, 'error.type': error.code };
    const span = this.#tracerInUse() && this.#endedSpan(message, common);
    const { ROOT_CONTEXT, trace } = this.#api;
    const inSpan = span === undefined ? ROOT_CONTEXT : trace.setSpan(ROOT_CONTEXT, span);
    this.#duration.record(durationSeconds, attributes, inSpan);
  }

  /** Returns the tracer; `undefined` while the global provider has no SDK. */
  #tracerInUse() {
    this.#tracer ??=
      this.#tracers.getDelegateTracer === undefined
        ? this.#tracers.getTracer(SCOPE, version)
        : this.#tracers.getDelegateTracer(SCOPE, version);
    return this.#tracer;
  }

  /** Returns the attributes of the manager, which change only with its configuration. */
  #attributes() {
    const origin = this.#observed.origin();
    if (origin !== this.#origin) {
      this.#origin = origin;
      this.#common = attributesOf(origin);
    }
    return this.#common;
  }

  #endedSpan(message, attributes) {
    const { attempts, durationSeconds, error, startedAt } = message;
    const span = this.#startSpan(message, attributes);
    if (span.isRecording()) {
      if (attempts > 1) span.setAttribute('http.request.resend_count', attempts - 1);
      if (error?.status !== undefined) {
        span.setAttribute('http.response.status_code', error.status);
      }
      if (error !== undefined) {
        span.setAttribute('error.type', error.code);
        span.setStatus({ code: this.#api.SpanStatusCode.ERROR, message: error.code });
      }
    }
    span.end(startedAt + durationSeconds * MS_PER_SECOND);
    return span;
  }

  /** Several callers may share the token request, so its span only links to a caller's span. */
  #startSpan({ cause, grantType, startedAt }, attributes) {
    const caller = cause === 'refresh' ? undefined : this.#callersSpan();
    const options = {
      kind: this.#api.SpanKind.CLIENT,
      root: true,
      startTime: startedAt,
      links: caller === undefined ? [] : [{ context: caller }],
      attributes: spanAttributes(attributes, cause, grantType),
    };
    return this.#tracer.startSpan('acquire token', options, this.#api.ROOT_CONTEXT);
  }

  #callersSpan() {
    const { context, isSpanContextValid, trace } = this.#api;
    const caller = trace.getSpanContext(context.active());
    return caller !== undefined && isSpanContextValid(caller) ? caller : undefined;
  }

  closed() {
    collected.unregister(this);
    this.#removeCallback();
  }

  /** Returns the attributes and the snapshot of the manager. */
  read() {
    return {
      attributes: this.#attributes(),
      snapshot: this.#manager.snapshot(),
    };
  }
}

/** Returns the name of the metric for a counter: `storeHits` becomes `store.hits`. */
function metricOf(counter) {
  return `${PREFIX}.${counter.replace(/[A-Z]/, (letter) => `.${letter.toLowerCase()}`)}`;
}

/** Creates the instruments that read a snapshot. Returns a function that removes their callback. */
function observeSnapshots({ ValueType }, meter, reference) {
  const counters = Object.entries(COUNTERS).map(([name, [unit, description]]) => {
    const options = { unit, description, valueType: ValueType.INT };
    return [name, meter.createObservableCounter(metricOf(name), options)];
  });
  const remaining = meter.createObservableGauge(`${PREFIX}.remaining`, {
    unit: 's',
    description: 'Time until the cached token expires; 0 while no token is cached.',
    valueType: ValueType.DOUBLE,
  });
  const callback = (result) => {
    const read = reference.deref()?.read();
    if (read === undefined) return;
    const { attributes, snapshot } = read;
    for (const [name, counter] of counters) {
      const sum = snapshot.counters[name] + (snapshot.derived?.counters[name] ?? 0);
      result.observe(counter, sum, attributes);
    }
    // The callback always reports a value, because some SDKs otherwise repeat the last one.
    result.observe(remaining, snapshot.secondsToHardExpiry ?? 0, attributes);
  };
  const instruments = [...counters.map(([, counter]) => counter), remaining];
  meter.addBatchObservableCallback(callback, instruments);
  return () => meter.removeBatchObservableCallback(callback, instruments);
}

/** Returns a literal with fixed members, because a copy would slow every acquisition down. */
function spanAttributes(attributes, cause, grantType) {
  return {
    'server.address': attributes['server.address'],
    'server.port': attributes['server.port'],
    'keycloak.client.id': attributes['keycloak.client.id'],
    'keycloak.client.name': attributes['keycloak.client.name'],
    'keycloak.client.token.cause': cause,
    'keycloak.client.grant_type': grantType,
  };
}

function attributesOf({ manager, clientId, serverAddress, serverPort }) {
  return {
    'server.address': serverAddress,
    'server.port': serverPort,
    'keycloak.client.id': clientId,
    'keycloak.client.name': manager,
  };
}

module.exports = { instrument };
