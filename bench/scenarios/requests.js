'use strict';

// Token requests in an hour of one call a second, by the life of the tokens, on simulated time. Ours
// replaces tokens before they end and at random times, so that nobody waits; the worst of its seeds
// is shown. Others replace them late, or, with a margin of 60 s, ask at every call.

const { coreFigures } = require('../core-figures.js');
const { absolute } = require('../measure.js');
const { loadRivals, prepareRivals } = require('../rivals/index.js');
const { makePlain } = require('../sides.js');
const { callOnSimulatedTime, distinctLines } = require('../simulation.js');

const HOUR_SECONDS = 3600;

async function run() {
  const core = await coreFigures('requests', 'requests_in_an_hour');
  const prepared = await prepareRivals();
  const { rivals, notes } = await loadRivals();
  const sides = [{ name: 'plain', make: makePlain }, ...rivals];
  const outcomes = new Map();
  for (const { name, make } of sides) {
    const hours = [];
    for (const { life } of core.lives) {
      hours.push(await callOnSimulatedTime(make, { calls: HOUR_SECONDS, everyMs: 1000, life }));
    }
    outcomes.set(name, hours);
  }
  const rows = core.lives.flatMap((figures, index) => {
    const row = (other, against, atMost) =>
      absolute({
        ...{ figure: `tokens of ${number(figures.life)} s, requests in an hour`, unit: '' },
        ...{ ours: figures.most, other, against, atMost },
      });
    const best = fewest(rivals, outcomes, index);
    return [
      row(outcomes.get('plain')[index].requests.length, 'plain', figures.bar ?? undefined),
      ...(best === undefined ? [] : [row(best.requests, best.name)]),
    ];
  });
  return {
    rows: [...rows, ...waits(core, rivals, outcomes)],
    notes: [
      `One call a second on simulated time. Ours: the worst of ${core.seeds} seeds.`,
      'Who asks less often replaces a token later, and callers wait for the next one.',
      ...wrong(outcomes),
      ...prepared.notes,
      ...notes,
    ],
    curves: [curve(core, outcomes)],
  };
}

/** The rival that makes the fewest requests without handing out a token past its life. */
function fewest(rivals, outcomes, index) {
  return rivals
    .map(({ name }) => ({ name, ...outcomes.get(name)[index] }))
    .filter(({ failed, expired }) => failed + expired === 0)
    .map(({ name, requests }) => ({ name, requests: requests.length }))
    .sort((a, b) => a.requests - b.requests)[0];
}

function waits(core, rivals, outcomes) {
  const sum = (hours) => hours.reduce((total, { waited }) => total + waited, 0);
  const row = { figure: 'calls that waited for a request, all lives', unit: '' };
  const ours = sum(core.lives);
  const [best] = rivals
    .map(({ name }) => ({ name, waited: sum(outcomes.get(name)) }))
    .sort((a, b) => a.waited - b.waited);
  return [
    absolute({ ...row, ours, other: sum(outcomes.get('plain')) }),
    ...(best === undefined
      ? []
      : [absolute({ ...row, ours, other: best.waited, against: best.name })]),
  ];
}

function wrong(outcomes) {
  return [...outcomes].flatMap(([name, hours]) => {
    const failed = hours.reduce((total, hour) => total + hour.failed, 0);
    const expired = hours.reduce((total, hour) => total + hour.expired, 0);
    return failed + expired === 0
      ? []
      : [`${name}: ${failed} calls failed, ${expired} got a token past its life.`];
  });
}

function curve(core, outcomes) {
  const lives = core.lives.map(({ life }) => life);
  const theirs = [...outcomes].map(([name, hours]) => ({
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

function number(value) {
  return value.toLocaleString('en');
}

module.exports = { title: 'Token requests by the life of the tokens', run };
