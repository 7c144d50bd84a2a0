'use strict';

// Keeps the results of a complete run in `results/results.json`, and draws the plots.

const fs = require('node:fs');
const path = require('node:path');
const { drawMemory, drawRatios } = require('./plot.js');
const { withUnit } = require('./table.js');

const FOLDER = path.join(__dirname, 'results');

/** The plot's bars: the scenario, the beginning of the figure's name, and the bar's name. */
const GLANCE = [
  ['cached', 'cached, Node 24', 'a call while a token is held'],
  ['acquisition', 'acquire, warm http, wall', 'acquisition, kept connection, http'],
  ['acquisition', 'acquire, warm https, wall', 'acquisition, kept connection, https'],
  ['acquisition', 'acquire, new https connection, wall', 'acquisition, new https connection'],
  ['acquisition', 'acquire, warm http, main-thread CPU', 'CPU of the main thread, acquisition'],
  ['first-token', 'first token, https, with require', 'first token of a process, with require'],
  ['herd', '10,000 callers on a miss, wall', '10,000 callers and no token'],
  ['outage', 'endpoint answers 503 for 5 min', 'requests while the endpoint answers 503'],
  ['outage', 'endpoint answers 401 for 5 min', 'requests while the endpoint answers 401'],
];

/** The names of the sides that are not npm packages. */
const SIDES = { plain: 'the plain class', raw: "Node's client" };

const write = (name, text) => fs.writeFileSync(path.join(FOLDER, name), text);

/**
 * Returns a figure's bar: the greatest ratio of its rows. The ratio compares ours with the best
 * other side. A scenario that failed has no bar.
 */
function ratioOf(scenarios, [name, figure, title]) {
  const { rows = [] } = scenarios.find((scenario) => scenario.name === name) ?? {};
  if (rows.length === 0) return [];
  const [best] = rows
    .filter((row) => row.figure.startsWith(figure) && row.against !== 'floor' && row.other > 0)
    .map((row) => ({ ...row, ratio: row.ratio ?? row.ours / row.other }))
    .sort((a, b) => b.ratio - a.ratio);
  if (best === undefined) throw new Error(`no row of ${name} begins with "${figure}"`);
  const { ratio, ours, other, unit, against } = best;
  const side = SIDES[against] ?? against;
  const note = `${withUnit(ours, unit)} beside ${withUnit(other, unit)}, ${side}`;
  return [{ name: title, ratio, note }];
}

/** Writes the results and draws the plot. */
async function keep(run) {
  write('results.json', `${JSON.stringify(run, undefined, 1)}\n`);
  const bars = GLANCE.flatMap((row) => ratioOf(run.scenarios, row));
  if (bars.length > 0) write('glance.svg', await drawRatios(bars));
}

/** Draws the plot of the memory of derived managers. */
async function keepMemory(memory) {
  write('derived-managers.svg', await drawMemory(memory));
}

module.exports = { GLANCE, keep, keepMemory, ratioOf };
