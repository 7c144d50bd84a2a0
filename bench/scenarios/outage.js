'use strict';

// Counts the token requests while an endpoint fails for five minutes under 100 calls a second that
// find no token, on simulated time.

const { isDeepStrictEqual } = require('node:util');
const { coreFigures } = require('../core-figures.js');
const { absolute } = require('../measure.js');
const { makePlain } = require('../sides.js');
const { callOnSimulatedTime, distinctLines, loadSides } = require('../simulation.js');

const EVERY_MS = 10;
const SAMPLE_SECONDS = 10;
/** It waits between its retries on a timer, which stands still during a call. */
const RETRIES_ON_A_TIMER = 'google-auth-library';

async function run({ quick }) {
  const core = await coreFigures('outage', 'an_endpoint_that_fails');
  const { sides, notes } = quick
    ? {
        sides: [{ name: 'plain', make: makePlain }],
        notes: ['The rivals are left out of a quick run.'],
      }
    : await loadSides();
  const outcomes = [];
  for (const { name, make } of sides.filter(({ name }) => name !== RETRIES_ON_A_TIMER)) {
    for (const { status } of core.outages) {
      const answers = { calls: core.calls, everyMs: EVERY_MS, status };
      outcomes.push({ name, status, ...(await callOnSimulatedTime(make, answers)) });
    }
  }
  const rows = core.outages.flatMap(({ status, most, bar }) => {
    const row = ({ name, requests }, atMost) =>
      absolute({
        figure: `endpoint answers ${status} for 5 min, requests`,
        ours: most,
        other: requests.length,
        against: name,
        atMost,
      });
    const [plain, ...rivals] = outcomes.filter((outcome) => outcome.status === status);
    const [best] = rivals.sort((a, b) => a.requests.length - b.requests.length);
    return [row(plain, bar), ...(best === undefined ? [] : [row(best)])];
  });
  return {
    rows,
    notes: [
      `${core.calls.toLocaleString('en')} calls on simulated time. ` +
        `Ours: the worst of ${core.seeds} seeds.`,
      `${RETRIES_ON_A_TIMER} is left out: it waits between retries, which takes real time.`,
      '@azure/msal-node sends no request for 60 s after a 5xx, whether the endpoint is back or ' +
        'not; ours for 1 s at first and 6.25 s at most.',
      ...notes,
    ],
    curves: [curve(core, outcomes)],
  };
}

/** The number of requests up to each time. */
function points(core, requests) {
  const seconds = (core.calls * EVERY_MS) / 1000;
  return Array.from({ length: seconds / SAMPLE_SECONDS }, (_, index) => {
    const end = (index + 1) * SAMPLE_SECONDS;
    return [end, requests.filter((time) => time < end * 1000).length];
  });
}

function curve(core, outcomes) {
  const lines = outcomes.map(({ name, status, requests }) => ({
    name,
    status,
    points: points(core, requests),
  }));
  const ours = core.outages.map(({ status, times }) => ({
    name: `keycloak-token-manager (${status})`,
    points: points(core, times),
  }));
  return {
    id: 'outage',
    title: 'Token requests while the endpoint fails, 100 calls a second',
    x: { title: 'time since it began to fail, seconds' },
    y: { title: 'requests so far', log: true },
    lines: [...ours, ...distinctLines(lines.flatMap((line) => withStatus(line, lines)))],
  };
}

/** Adds the status to the name if the side's lines differ; otherwise keeps the first of them. */
function withStatus({ name, status, points: own }, lines) {
  const [first, ...others] = lines.filter((line) => line.name === name);
  const isSame = others.every((line) => isDeepStrictEqual(line.points, first.points));
  if (!isSame) return [{ name: `${name} (${status})`, points: own }];
  return status === first.status ? [{ name, points: own }] : [];
}

module.exports = { title: 'Token requests in an outage', run };
