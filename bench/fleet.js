'use strict';

// `node bench/fleet.js` simulates fleets of every size, writes their figures to
// `results/fleet.json`, and draws `results/fleet.svg`. The simulation is a test of the core, which checks
// the bars; it takes about 12 min.

const fs = require('node:fs');
const path = require('node:path');
const { runMain } = require('../tools/run.js');
const { QUICK_BUILD } = require('../tools/setup.js');
const { coreFigures } = require('./core-figures.js');
const { drawFleets } = require('./plot.js');
const { installRivals } = require('./rivals/index.js');

const LIMIT_MS = 30 * 60_000;

async function main() {
  await installRivals();
  const figures = await coreFigures('fleet', 'a_fleet_of_any_size', {
    file: 'fleet',
    flags: ['--release'],
    env: { ...QUICK_BUILD, FLEET_LONG: '1' },
    limitMs: LIMIT_MS,
  });
  const results = path.join(__dirname, 'results');
  fs.writeFileSync(path.join(results, 'fleet.json'), `${JSON.stringify(figures, undefined, 1)}\n`);
  const { shared, withoutStore } = figures;
  const plot = await drawFleets({ 'with a store': shared, 'without a store': withoutStore });
  fs.writeFileSync(path.join(results, 'fleet.svg'), plot);
}

runMain(module, main);
