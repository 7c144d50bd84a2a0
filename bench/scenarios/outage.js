'use strict';

// Counts the token requests while an endpoint fails for five minutes under 100 calls a second that
// find no token, on simulated time.

const { coreFigures } = require('../core-figures.js');
const { absolute } = require('../measure.js');
const { findRivals } = require('../rivals/index.js');
const { callOnSimulatedTime } = require('../simulation.js');

const EVERY_MS = 10;
/**
 * This rival waits on a timer between its retries, and simulated timers stand still during a call.
 */
const RETRIES_ON_A_TIMER = 'google-auth-library';

async function run({ quick }) {
  const core = await coreFigures('outage', 'an_endpoint_that_fails');
  const { names, notes } = quick
    ? { names: [], notes: ['A quick run leaves out the rivals.'] }
    : await findRivals();
  const rows = [];
  for (const { status, most, bar } of core.outages) {
    for (const against of ['plain', ...names.filter((name) => name !== RETRIES_ON_A_TIMER)]) {
      const settings = { calls: core.calls, everyMs: EVERY_MS, status };
      const other = await callOnSimulatedTime(against, settings);
      const figure = `endpoint answers ${status} for 5 min, requests`;
      const atMost = against === 'plain' ? bar : undefined;
      rows.push(absolute({ figure, ours: most, other, against, atMost }));
    }
  }
  return {
    rows,
    notes: [
      `${core.calls.toLocaleString('en')} calls on simulated time. ` +
        `Ours: the worst of ${core.seeds} seeds.`,
      `The bench left out ${RETRIES_ON_A_TIMER}: it waits in real time between retries.`,
      '@azure/msal-node sends no request for 60 s after a 5xx, whether the endpoint is back or ' +
        'not; ours sends none for 1 s at first and for 6.25 s at most.',
      ...notes,
    ],
  };
}

module.exports = { title: 'Token requests in an outage', run };
