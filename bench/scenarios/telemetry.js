'use strict';

// Measures the cost of telemetry: a call while a token is held, and the main thread's share of an
// acquisition.

const { absolute, compare, median, pick } = require('../measure.js');
const { withEndpoint } = require('../endpoint.js');
const { runChild } = require('../child.js');

const SIDES = {
  ours: 'no telemetry',
  metrics: 'metrics',
  spans: 'metrics and spans',
  subscribed: 'a subscriber on every channel',
};
const TURN_MS = 12;
const COUNT = 30;
const WARM_UP = 300;

/**
 * Compares the main thread's CPU time for an acquisition. The sides `sdkMetrics` and `sdkSpans`
 * show the SDK's own share.
 */
async function acquisitionRows(url, rounds) {
  const names = ['ours', 'metrics', 'spans', 'sdkMetrics', 'sdkSpans'];
  const options = { url, names, blocks: rounds, warmUp: WARM_UP, count: COUNT };
  const { ours, metrics, spans, sdkMetrics, sdkSpans } = pick(
    await runChild('acquire', options),
    'main',
  );
  const figure = 'acquire, main-thread CPU';
  const ratio = (name, side, bar) =>
    compare({
      ...{ figure: `${figure}, ${name}`, unit: 'µs', ours: side, other: ours },
      ...{ against: 'no telemetry', ...bar },
    });
  const more = (name, side, bar) =>
    absolute({
      ...{ figure: `${figure}, more with ${name}`, unit: 'µs', ...bar },
      ours: median(side.map((value, round) => value - ours[round])),
    });
  return [
    ratio('metrics', metrics, { atMost: 1.1 }),
    ratio('the calls of the SDK alone, metrics', sdkMetrics),
    more('spans', spans, { atMost: 40 }),
    more('the calls of the SDK alone, spans', sdkSpans),
  ];
}

async function run({ quick }) {
  const rounds = quick ? 7 : 21;
  const most = quick ? 100_000 : 200_000;
  const rows = await withEndpoint({}, async ({ url }) => {
    const found = [];
    for (const [name, what] of Object.entries(SIDES)) {
      // The process of a side measures no other side of ours except `ours`, whose token the floor
      // returns.
      const names =
        name === 'subscribed' ? ['ours', 'floor'] : [...new Set(['ours', 'floor', name])];
      const preload = name === 'subscribed' ? [name] : [];
      const options = { url, rounds, most, turnMs: TURN_MS, names, preload };
      const { [name]: own, ours, floor } = await runChild('cached', options);
      found.push(
        compare({
          figure: `cached, ${what}`,
          unit: 'ns',
          ours: own ?? ours,
          other: floor,
          against: 'floor',
          atMost: 1.1,
        }),
      );
    }
    found.push(...(await acquisitionRows(url, rounds)));
    return found;
  });
  return {
    rows,
    notes: [
      'OpenTelemetry is the SDK of Red Hat Developer Hub, with a Prometheus exporter.',
      `${rounds} interleaved rounds or blocks; acquisitions over warm http, after ${WARM_UP} in a row.`,
    ],
  };
}

module.exports = { title: 'Telemetry', run };
