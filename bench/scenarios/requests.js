'use strict';

// Counts the token requests in an hour of one call a second, by the life of the tokens, on
// simulated time. Ours replaces tokens before they end and at random times, so that no caller
// waits; the results show the worst of its seeds. Others replace tokens late or, with a margin of
// 60 s, send a request for every call.

const { coreFigures } = require('../core-figures.js');
const { absolute } = require('../measure.js');
const { callOnSimulatedTime, distinctLines, loadSides } = require('../simulation.js');

const HOUR_SECONDS = 3600;

const sumOf = (hours, key) => hours.reduce((total, hour) => total + hour[key], 0);

async function run() {
  const core = await coreFigures('requests', 'requests_in_an_hour');
  const { sides, notes } = await loadSides();
  const outcomes = [];
  for (const { name, make } of sides) {
    const hours = [];
    for (const { life } of core.lives) {
      hours.push(await callOnSimulatedTime(make, { calls: HOUR_SECONDS, everyMs: 1000, life }));
    }
    outcomes.push({ name, hours });
  }
  const wrong = outcomes
    .map(({ name, hours }) => [name, sumOf(hours, 'failed'), sumOf(hours, 'expired')])
    .filter(([, failed, expired]) => failed + expired > 0)
    .map(
      ([name, failed, expired]) =>
        `${name}: ${failed} calls failed, ${expired} got a token past its life.`,
    );
  return {
    rows: [
      ...core.lives.flatMap((figures, index) => requestRows(figures, index, outcomes)),
      ...waitRows(core, outcomes),
    ],
    notes: [
      `One call a second on simulated time. Ours: the worst of ${core.seeds} seeds.`,
      'A side with fewer requests replaces a token later, and callers wait for the next one.',
      ...wrong,
      ...notes,
    ],
    curves: [curve(core, outcomes)],
  };
}

function rowsBeside([plain, ...rivals], values, bar) {
  const row = ({ name, value }, atMost) =>
    absolute({ ...values, other: value, against: name, atMost });
  const [best] = rivals.sort((a, b) => a.value - b.value);
  return [row(plain, bar), ...(best === undefined ? [] : [row(best)])];
}

/** Beside the plain class, and the rival with the fewest requests and only valid tokens. */
function requestRows({ life, most, bar }, index, outcomes) {
  const isFit = ({ name, hours }) =>
    name === 'plain' || hours[index].failed + hours[index].expired === 0;
  const others = outcomes
    .filter(isFit)
    .map(({ name, hours }) => ({ name, value: hours[index].requests.length }));
  const figure = `tokens of ${life.toLocaleString('en')} s, requests in an hour`;
  return rowsBeside(others, { figure, ours: most }, bar ?? undefined);
}

function waitRows(core, outcomes) {
  const others = outcomes.map(({ name, hours }) => ({ name, value: sumOf(hours, 'waited') }));
  const figure = 'calls that waited for a request, all lives';
  return rowsBeside(others, { figure, ours: sumOf(core.lives, 'waited') });
}

function curve(core, outcomes) {
  const lives = core.lives.map(({ life }) => life);
  const theirs = outcomes.map(({ name, hours }) => ({
    name,
    points: hours.map(({ requests }, index) => [lives[index], requests.length]),
  }));
  return {
    id: 'requests',
    title: 'Token requests in an hour of one call a second',
    x: { title: 'life of a token, seconds', log: true },
    y: { title: 'requests in an hour', log: true },
    lines: [
      { name: 'keycloak-token-manager', points: core.lives.map(({ life, most }) => [life, most]) },
      ...distinctLines([
        { name: '3,600 s / life', points: lives.map((life) => [life, HOUR_SECONDS / life]) },
        ...theirs,
      ]),
    ],
  };
}

module.exports = { title: 'Token requests by the life of the tokens', run };
