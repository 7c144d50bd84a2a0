'use strict';

// The metrics that docs/observability.md lists, and checks of a scrape against this list and
// against a manager's snapshot.

const assert = require('node:assert/strict');
const { readFileSync } = require('node:fs');
const path = require('node:path');
const { valueIn } = require('./support.js');

const FILE = path.join(__dirname, '..', '..', 'docs', 'observability.md');
const page = readFileSync(FILE, 'utf8');

/** The attributes that all series have. */
const COMMON = ['keycloak_client_id', 'keycloak_client_name', 'server_address', 'server_port'];
const ROWS = /^\| `(keycloak\.client\.token\.[\w.]+)` \| (histogram|counter|gauge), /gm;
const SUFFIXES = { histogram: ['_count', '_sum', '_bucket'], counter: [''], gauge: [''] };
/** The metrics of the page, with the names of their series in the exporter. */
const METRICS = Array.from(page.matchAll(ROWS), ([, name, kind]) => {
  const plain = name.replaceAll('.', '_');
  return { name, series: SUFFIXES[kind].map((suffix) => `${plain}${suffix}`) };
});
const DURATION = 'keycloak_client_token_acquisition_duration';
const COUNTERS = [
  ...['hits', 'joins', 'retries', 'invalidations', 'suppressed'],
  ...['storeHits', 'storeFailures'],
];
/** The rounding of the histogram's sum, and the time between a scrape and a snapshot. */
const TOLERANCE = { sumMs: 1, remainingSeconds: 0.5 };

const seriesOf = (counter) =>
  `keycloak_client_token_${counter.replace(/[A-Z]/, (letter) => `_${letter.toLowerCase()}`)}`;

/** Newer exporters append `_total` to observable counters, as the page says. */
const withoutTotal = (samples) =>
  samples.map((sample) => ({ ...sample, name: sample.name.replace(/_total$/, '') }));

/** Checks that a scrape has all documented series and no others, with these labels. */
function assertDocumented(samples, expected) {
  const documented = METRICS.flatMap(({ series }) => series);
  for (const { name, labels } of samples) {
    assert.ok(documented.includes(name), `${name} is not documented`);
    const { le: _bucket, error_type: _code, ...common } = labels;
    assert.deepEqual(Object.keys(common).sort(), COMMON);
    assert.deepEqual({ ...labels, ...expected }, labels);
  }
  const found = new Set(samples.map(({ name }) => name));
  assert.deepEqual(
    documented.filter((name) => !found.has(name)),
    [],
  );
}

/** Checks a scrape's values against a snapshot, and the numbers of acquisitions. */
function assertAgreement(samples, snapshot, { acquired, failures }) {
  const { counters, derived, acquisitionLatencyMs: latency, secondsToHardExpiry } = snapshot;
  const sumOf = (counter) => counters[counter] + (derived?.counters[counter] ?? 0);
  for (const counter of COUNTERS) {
    assert.equal(valueIn(samples, seriesOf(counter)), sumOf(counter), counter);
  }
  const addUp = (suffix, isMeant) =>
    samples
      .filter(({ name, labels }) => name === `${DURATION}${suffix}` && isMeant(labels))
      .reduce((sum, { value }) => sum + value, 0);
  const isFailure = ({ error_type }) => error_type !== undefined;
  assert.deepEqual(
    [addUp('_count', (labels) => !isFailure(labels)), addUp('_count', isFailure)],
    [acquired, failures],
  );
  assert.equal(acquired + failures, sumOf('acquisitions'));
  if (derived === undefined) {
    const difference = addUp('_sum', () => true) * 1_000 - latency.sum;
    assert.ok(Math.abs(difference) < TOLERANCE.sumMs, `${difference} ms`);
  }
  const remaining = valueIn(samples, 'keycloak_client_token_remaining');
  const difference = remaining - (secondsToHardExpiry ?? 0);
  assert.ok(Math.abs(difference) < TOLERANCE.remainingSeconds, `${difference} s`);
}

module.exports = { DURATION, METRICS, assertAgreement, assertDocumented, page, withoutTotal };
