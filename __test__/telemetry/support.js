'use strict';

/** An OpenTelemetry SDK with a Prometheus exporter and recorded spans, for one test. */

const { before } = require('node:test');
const { createRequire } = require('node:module');
const path = require('node:path');
const { pinnedPackages } = require('../../tools/pinned-packages.js');
const { parseSamples } = require('./promql.js');

const INSTALL_TIMEOUT_MS = 10 * 60 * 1000;
const OWN_METRICS = ['target_info'];

/** Installs the OpenTelemetry packages; the result's `load` loads one. */
async function loadPackages() {
  const modules = await pinnedPackages('telemetry', path.join(__dirname, 'dependencies'));
  return { load: createRequire(path.join(modules, 'any.js')) };
}

/** The same packages for a test; `load` is set when the tests run. */
function usePackages() {
  const packages = {};
  before(async () => Object.assign(packages, await loadPackages()), {
    timeout: INSTALL_TIMEOUT_MS,
  });
  return packages;
}

/**
 * Starts an SDK, which the test shuts down at its end. By default it exports each span immediately
 * into memory; `processorOf` returns another span processor.
 */
function startSdk(t, { load }, processorOf) {
  const { MeterProvider } = load('@opentelemetry/sdk-metrics');
  const { PrometheusExporter } = load('@opentelemetry/exporter-prometheus');
  const trace = load('@opentelemetry/sdk-trace-base');
  const exporter = new PrometheusExporter({ preventServerStart: true });
  const meterProvider = new MeterProvider({ readers: [exporter] });
  const memory = new trace.InMemorySpanExporter();
  const processor = processorOf?.(trace) ?? new trace.SimpleSpanProcessor(memory);
  const tracerProvider = new trace.BasicTracerProvider({ spanProcessors: [processor] });
  t?.after(() => Promise.all([meterProvider.shutdown(), tracerProvider.shutdown()]));
  const print = () =>
    new Promise((resolve) => {
      const answer = { setHeader() {}, end: resolve };
      exporter.getMetricsRequestHandler({}, answer);
    });
  const scrape = async () =>
    parseSamples(await print()).filter(({ name }) => !OWN_METRICS.includes(name));
  const pick = { meterProvider, tracerProvider };
  return { ...pick, pick, print, scrape, spans: () => memory.getFinishedSpans() };
}

/** Returns a metric's value; `undefined` if the scrape does not contain the metric. */
const valueIn = (samples, name, isMatch = () => true) =>
  samples.find((sample) => sample.name === name && isMatch(sample.labels))?.value;

module.exports = { loadPackages, startSdk, usePackages, valueIn };
