'use strict';

// Draws panels of the Grafana dashboard from a real run: a manager uses the test endpoint, which is
// unreachable for a while, and the Prometheus exporter observes the manager. The script takes 75 s
// and writes docs/observability/dashboard.svg.

const fs = require('node:fs');
const path = require('node:path');
const { setTimeout: delay } = require('node:timers/promises');
const { KeycloakTokenManager } = require('..');
const dashboard = require('../docs/observability/dashboard.json');
const { startFakeTokenEndpoint } = require('../lib/testing');
const { instrument } = require('../lib/opentelemetry');
const { loadPackages, startSdk } = require('../__test__/telemetry/support.js');
const { root, runMain } = require('./run.js');

const OUTPUT = path.join(root, 'docs', 'observability', 'dashboard.svg');
const [HEALTHY_S, AWAY_S, BACK_S] = [30, 25, 20];
const STEP_MS = 500;
const CALL_MS = 100;
const PREFIX = 'keycloak_client_token_';
const COUNT = `${PREFIX}acquisition_duration_count`;
/** The length of the window for a rate, in samples. */
const RANGE = 10;
const TEXT = '#7d8590';
const COLOURS = ['#2f81f7', '#e5793a', '#57ab5a'];
const SIZE = { width: 400, height: 190, left: 44, top: 34, gap: 24 };

/**
 * The panels of the picture. Each line of a panel has a name, and a function that returns its value
 * in a sample.
 */
const LINES = {
  'Remaining life': { 'portal, s': (at) => at(`${PREFIX}remaining`) },
  'Acquisitions per second': {
    acquired: rate((sample) => sample(COUNT, (labels) => labels.error_type === undefined)),
    ERR_KEYCLOAK_NETWORK: rate((sample) => sample(COUNT, (labels) => 'error_type' in labels)),
  },
  'Calls per second': Object.fromEntries(
    ['hits', 'joins', 'suppressed'].map((name) => [name, rate((at) => at(`${PREFIX}${name}`))]),
  ),
  'Retries and invalidations per second': Object.fromEntries(
    ['retries', 'invalidations'].map((name) => [name, rate((at) => at(`${PREFIX}${name}`))]),
  ),
};

function rate(measure) {
  return (sample, earlier, seconds) => (measure(sample) - measure(earlier)) / seconds;
}

/**
 * Returns the scrapes of a run with an outage. Each scrape is a function that returns the value of
 * a metric.
 */
async function observe() {
  const sdk = startSdk(undefined, await loadPackages());
  const endpoint = await startFakeTokenEndpoint({ expiresIn: 10 });
  const client = { clientId: 'test-client', clientSecret: 'test-secret', name: 'portal' };
  const { tokenEndpoint } = endpoint;
  const manager = new KeycloakTokenManager({ ...client, tokenEndpoint, requestTimeoutMs: 2_000 });
  instrument(manager, sdk.pick);
  const calls = setInterval(() => manager.getToken().catch(() => {}), CALL_MS);
  const scrapes = [];
  const record = async (seconds) => {
    const end = performance.now() + seconds * 1_000;
    while (performance.now() < end) {
      const samples = await sdk.scrape();
      scrapes.push((name, isMatch = () => true) => {
        const found = samples.filter((sample) => sample.name.replace(/_total$/, '') === name);
        return found.find(({ labels }) => isMatch(labels))?.value ?? 0;
      });
      await delay(STEP_MS);
    }
  };
  await record(HEALTHY_S);
  manager.invalidateToken(await manager.getToken());
  await endpoint.goOffline();
  await record(AWAY_S);
  await endpoint.goOnline();
  await record(BACK_S);
  clearInterval(calls);
  await manager.close();
  await endpoint.close();
  return scrapes;
}

function drawPanel(title, lines, scrapes, index) {
  const { width, height, left, top, gap } = SIZE;
  const [x, y] = [(index % 2) * (width + gap), Math.floor(index / 2) * (height + gap)];
  const series = Object.entries(lines).map(([name, measure]) => {
    const values = scrapes.map((sample, at) => {
      const from = Math.max(0, at - RANGE);
      return measure(sample, scrapes[from], Math.max(1, ((at - from) * STEP_MS) / 1_000));
    });
    return { name, values };
  });
  const most = Math.max(...series.flatMap(({ values }) => values), 0.1);
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
    const points = values.map(pointOf).join(' ');
    const colour = COLOURS[order];
    parts.push(`<polyline points="${points}" fill="none" stroke="${colour}" stroke-width="1.5"/>`);
    const legend = `<tspan fill="${colour}">${name}</tspan>`;
    parts.push(label(left + order * 110, 27, legend));
  }
  return `<g transform="translate(${x} ${y})">${parts.join('\n')}</g>`;
}

async function main() {
  const scrapes = await observe();
  const titles = dashboard.panels.map(({ title }) => title);
  const panels = Object.entries(LINES).map(([title, lines], index) => {
    if (!titles.includes(title)) throw new Error(`the dashboard has no panel "${title}"`);
    return drawPanel(title, lines, scrapes, index);
  });
  const { width, height, gap } = SIZE;
  const box = `0 0 ${2 * width + gap} ${2 * height + gap}`;
  const head = `<svg xmlns="http://www.w3.org/2000/svg" viewBox="${box}" font-family="sans-serif">`;
  const title = `<title>${dashboard.title}</title>`;
  fs.writeFileSync(OUTPUT, `${[head, title, ...panels].join('\n')}\n</svg>\n`);
}

runMain(module, main);
