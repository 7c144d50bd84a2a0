'use strict';

// Counts the token requests in an hour with one call a second, by token lifetime, on simulated
// time. Ours replaces tokens before they expire and at random times, so that no caller waits; the
// results show the worst of its seeds. Other sides replace tokens late or, with a margin of 60 s,
// send a request for every call.

const { coreFigures } = require('../core-figures.js');
const { absolute } = require('../measure.js');
const { findRivals } = require('../rivals/index.js');
const { callOnSimulatedTime } = require('../simulation.js');

const HOUR = { calls: 3600, everyMs: 1000 };

async function run() {
  const core = await coreFigures('requests', 'requests_in_an_hour');
  const { names, notes } = await findRivals();
  const rows = [];
  for (const { life, most, bar } of core.lives) {
    for (const against of ['plain', ...names]) {
      const other = await callOnSimulatedTime(against, { ...HOUR, life });
      const figure = `tokens of ${life.toLocaleString('en')} s, requests in an hour`;
      const atMost = against === 'plain' ? (bar ?? undefined) : undefined;
      rows.push(absolute({ figure, ours: most, other, against, atMost }));
    }
  }
  return {
    rows,
    notes: [
      `One call a second on simulated time. Ours: the worst of ${core.seeds} seeds.`,
      'A side with fewer requests replaces a token later, and callers wait for the next one.',
      ...notes,
    ],
  };
}

module.exports = { title: 'Token requests by the life of the tokens', run };
