'use strict';

// Counts the token requests in an hour of one call a second, by the life of the tokens, on
// simulated time. Ours replaces tokens before they end and at random times, so that no caller
// waits; the results show the worst of its seeds. Others replace tokens late or, with a margin of
// 60 s, send a request for every call.

const { coreFigures } = require('../core-figures.js');
const { absolute } = require('../measure.js');
const { findRivals } = require('../rivals/index.js');
const { callOnSimulatedTime } = require('../simulation.js');

const HOUR = { calls: 3600, everyMs: 1000 };

const sumOf = (hours, key) => hours.reduce((total, hour) => total + hour[key], 0);

async function run() {
  const core = await coreFigures('requests', 'requests_in_an_hour');
  const { names, notes } = await findRivals();
  const sides = [];
  for (const against of ['plain', ...names]) {
    const hours = [];
    for (const { life } of core.lives) {
      hours.push(await callOnSimulatedTime(against, { ...HOUR, life }));
    }
    sides.push({ against, hours });
  }
  const ofLife = ({ life, most, bar }, index) =>
    sides.map(({ against, hours }) =>
      absolute({
        figure: `tokens of ${life.toLocaleString('en')} s, requests in an hour`,
        ours: most,
        other: hours[index].requests,
        against,
        atMost: against === 'plain' ? (bar ?? undefined) : undefined,
      }),
    );
  const waited = ({ against, hours }) =>
    absolute({
      figure: 'calls that waited for a request, all lives',
      ours: sumOf(core.lives, 'waited'),
      other: sumOf(hours, 'waited'),
      against,
    });
  const wrong = sides.flatMap(({ against, hours }) => {
    const [failed, expired] = ['failed', 'expired'].map((key) => sumOf(hours, key));
    if (failed + expired === 0) return [];
    return [`${against}: ${failed} calls failed, ${expired} got a token past its life.`];
  });
  return {
    rows: [...core.lives.flatMap(ofLife), ...sides.map(waited)],
    notes: [
      `One call a second on simulated time. Ours: the worst of ${core.seeds} seeds.`,
      'A side with fewer requests replaces a token later, and callers wait for the next one.',
      ...wrong,
      ...notes,
    ],
  };
}

module.exports = { title: 'Token requests by the life of the tokens', run };
