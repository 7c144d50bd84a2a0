'use strict';

// Our side with telemetry: with the metrics or also the spans of a real OpenTelemetry SDK, or with a
// subscriber on every channel. A program with subscribers measures no other side of ours, because
// the channels belong to the process.

const { subscribe } = require('node:diagnostics_channel');
const { loadPackages, startSdk } = require('../__test__/telemetry/support.js');

const NAME = 'keycloak-token-manager';
const CHANNELS = [
  ...['start', 'end', 'asyncStart', 'asyncEnd', 'error'].map(
    (event) => `tracing:${NAME}:acquisition:${event}`,
  ),
  ...['invalidation', 'cooldown'].map((name) => `${NAME}:${name}`),
];

/** Returns functions that create our manager, given the function that does so without telemetry. */
const makers = {
  async metrics(makeOurs) {
    const { meterProvider } = startSdk(undefined, await loadPackages());
    return instrumented(makeOurs, { meterProvider });
  },
  async spans(makeOurs) {
    return instrumented(makeOurs, startSdk(undefined, await loadPackages()).pick);
  },
  async subscribed(makeOurs) {
    for (const name of CHANNELS) subscribe(name, () => {});
    return makeOurs;
  },
};

function instrumented(makeOurs, providers) {
  const { instrument } = require('../lib/opentelemetry');
  return (...args) => {
    const manager = makeOurs(...args);
    instrument(manager, providers);
    return manager;
  };
}

module.exports = { makers };
