'use strict';

// Draws the panels of the Grafana dashboard from a real run. Two replicas use the test endpoint and
// an in-memory store. The store fails for a while; later, the endpoint is unreachable. The Prometheus
// exporter observes one replica. The script takes 85 s and writes docs/observability/dashboard.svg.

const fs = require('node:fs');
const path = require('node:path');
const { setTimeout: delay } = require('node:timers/promises');
const { KeycloakTokenManager } = require('..');
const dashboard = require('../docs/observability/dashboard.json');
const { startFakeTokenEndpoint } = require('../lib/testing');
const { instrument } = require('../lib/opentelemetry');
const { MemoryStore } = require('../__test__/support/memory-store.js');
const { loadPackages, startSdk } = require('../__test__/telemetry/support.js');
const { root, runMain } = require('./run.js');

const OUTPUT = path.join(root, 'docs', 'observability', 'dashboard.svg');
const [HEALTHY_S, STORE_FAILS_S, ENDPOINT_AWAY_S, BACK_S] = [25, 15, 25, 20];
const STEP_MS = 500;
const CALL_MS = 100;
const PREFIX = 'keycloak_client_token_';
const COUNT = `${PREFIX}acquisition_duration_count`;
const BUCKET = `${PREFIX}acquisition_duration_bucket`;
/** The length of the window for a rate, in samples. It contains a refresh of a healthy manager. */
const RANGE = 20;
const TEXT = '#7d8590';
const COLOURS = ['#2f81f7', '#e5793a', '#57ab5a'];
const SIZE = { width: 400, height: 190, left: 44, top: 34, gap: 24 };

/**
 * The lines of each panel. A line has a name, and a function that returns its value from the samples
 * of a scrape, the samples at the start of the window, and the seconds between them. The value is
 * `NaN` if the manager acquired nothing in the window.
 */
const LINES = {
  'Remaining life': { 'portal, s': (samples) => sum(samples, `${PREFIX}remaining`) },
  'Acquisitions per second': {
    acquired: rate(COUNT, (labels) => !isFailure(labels)),
    ERR_KEYCLOAK_NETWORK: rate(COUNT, isFailure),
  },
  'Duration of acquisitions': { 'p50, s': quantile(0.5), 'p99, s': quantile(0.99) },
  'Calls per second': rates('hits', 'joins', 'suppressed'),
  'Retries and invalidations per second': rates('retries', 'invalidations'),
  'Failed share of acquisitions': {
    portal: (...window) => rate(COUNT, isFailure)(...window) / rate(COUNT)(...window),
  },
  'Shared store hits and failures per second': rates('store_hits', 'store_failures'),
};

function isFailure(labels) {
  return labels.error_type !== undefined;
}

/** Adds up the series of a metric. */
function sum(samples, name, isMatch = () => true) {
  const isMeant = (sample) => sample.name.replace(/_total$/, '') === name && isMatch(sample.labels);
  return samples.filter(isMeant).reduce((total, { value }) => total + value, 0);
}

function rate(name, isMatch) {
  return (samples, earlier, seconds) =>
    (sum(samples, name, isMatch) - sum(earlier, name, isMatch)) / seconds;
}

function rates(...names) {
  return Object.fromEntries(names.map((name) => [name.split('_').at(-1), rate(PREFIX + name)]));
}

/** Interpolates between the boundaries of the buckets, as Prometheus does. */
function quantile(share) {
  return (...window) => {
    const rank = share * rate(COUNT)(...window);
    let [lower, below] = [0, 0];
    for (const upper of boundaries(window[0])) {
      const upTo = rate(BUCKET, ({ le }) => Number(le) === upper)(...window);
      if (upTo >= rank) return lower + ((upper - lower) * (rank - below)) / (upTo - below);
      [lower, below] = [upper, upTo];
    }
    return lower;
  };
}

function boundaries(samples) {
  const buckets = samples.filter(({ name, labels }) => name === BUCKET && labels.le !== '+Inf');
  return [...new Set(buckets.map(({ labels }) => Number(labels.le)))].sort((a, b) => a - b);
}

/** Returns the samples of each scrape of a run with two outages. */
async function observe() {
  const sdk = startSdk(undefined, await loadPackages());
  const endpoint = await startFakeTokenEndpoint({ expiresIn: 10 });
  const store = new MemoryStore();
  const options = {
    clientId: 'test-client',
    clientSecret: 'test-secret',
    tokenEndpoint: endpoint.tokenEndpoint,
    requestTimeoutMs: 2_000,
    store,
    storeKey: 'the-store-key-of-all-replicas',
  };
  const manager = new KeycloakTokenManager({ ...options, name: 'portal' });
  const replicas = [manager, new KeycloakTokenManager(options)];
  instrument(manager, sdk.pick);
  const calls = setInterval(() => {
    for (const replica of replicas) replica.getToken().catch(() => {});
  }, CALL_MS);
  const scrapes = [];
  const record = async (seconds) => {
    const end = performance.now() + seconds * 1_000;
    while (performance.now() < end) {
      scrapes.push(await sdk.scrape());
      await delay(STEP_MS);
    }
  };
  await record(HEALTHY_S);
  store.setMode('rejects');
  await record(STORE_FAILS_S);
  store.setMode('works');
  manager.invalidateToken(await manager.getToken());
  await endpoint.goOffline();
  await record(ENDPOINT_AWAY_S);
  await endpoint.goOnline();
  await record(BACK_S);
  clearInterval(calls);
  await Promise.all(replicas.map((replica) => replica.close()));
  await endpoint.close();
  return scrapes;
}

function drawPanel({ title, gridPos }, scrapes) {
  const { width, height, left, top, gap } = SIZE;
  const x = (gridPos.x / gridPos.w) * (width + gap);
  const y = (gridPos.y / gridPos.h) * (height + gap);
  const lines = LINES[title];
  if (lines === undefined) throw new Error(`LINES lacks the panel "${title}"`);
  const series = Object.entries(lines).map(([name, measure]) => {
    const values = scrapes.map((samples, at) => {
      const from = Math.max(0, at - RANGE);
      return measure(samples, scrapes[from], Math.max(1, ((at - from) * STEP_MS) / 1_000));
    });
    return { name, values };
  });
  const drawn = series.flatMap(({ values }) => values.filter((value) => !Number.isNaN(value)));
  const most = Math.max(...drawn);
  if (!(most > 0)) throw new Error(`the panel "${title}" has no value above 0`);
  const [bottom, right] = [height - 20, width - 8];
  const pointOf = (value, at) => {
    const along = left + ((right - left) * at) / (scrapes.length - 1);
    return `${along.toFixed(1)},${(bottom - ((bottom - top) * value) / most).toFixed(1)}`;
  };
  const label = (atX, atY, text, more = '') =>
    `<text x="${atX}" y="${atY}" fill="${TEXT}" font-size="11" ${more}>${text}</text>`;
  const parts = [label(0, 12, title, 'font-weight="bold"')];
  for (const share of [0, 0.5, 1]) {
    const atY = bottom - (bottom - top) * share;
    const line = `x1="${left}" x2="${right}" y1="${atY}" y2="${atY}"`;
    parts.push(`<line ${line} stroke="${TEXT}" stroke-opacity="0.25"/>`);
    const shown = Number((most * share).toPrecision(2));
    parts.push(label(left - 6, atY + 4, shown, 'text-anchor="end"'));
  }
  const seconds = (scrapes.length * STEP_MS) / 1_000;
  parts.push(label(left, height - 4, '0 s'));
  parts.push(label(right, height - 4, `${Math.round(seconds)} s`, 'text-anchor="end"'));
  for (const [order, { name, values }] of series.entries()) {
    const colour = COLOURS[order];
    const steps = pathOf(values, pointOf);
    parts.push(`<path d="${steps}" fill="none" stroke="${colour}" stroke-width="1.5"/>`);
    const legend = `<tspan fill="${colour}">${name}</tspan>`;
    parts.push(label(left + order * 110, 27, legend));
  }
  return `<g transform="translate(${x} ${y})">${parts.join('\n')}</g>`;
}

/** Returns a path that has a gap where a value is `NaN`. */
function pathOf(values, pointOf) {
  const isGap = (at) => !(at in values) || Number.isNaN(values[at]);
  const steps = values.map((value, at) => {
    if (isGap(at)) return '';
    return `${isGap(at - 1) ? 'M' : 'L'}${pointOf(value, at)}`;
  });
  return steps.join('');
}

async function main() {
  const scrapes = await observe();
  const panels = dashboard.panels.map((panel) => drawPanel(panel, scrapes));
  const { width, height, gap } = SIZE;
  const rows = Math.ceil(panels.length / 2);
  const box = `0 0 ${2 * width + gap} ${rows * (height + gap) - gap}`;
  const head = `<svg xmlns="http://www.w3.org/2000/svg" viewBox="${box}" font-family="sans-serif">`;
  const title = `<title>${dashboard.title}</title>`;
  fs.writeFileSync(OUTPUT, `${[head, title, ...panels].join('\n')}\n</svg>\n`);
}

runMain(module, main);
