'use strict';

// Installs the rivals of `table.js`, and finds the rivals that the bench can measure.

const path = require('node:path');
const { isInstalled } = require('../../tools/setup.js');
const { run } = require('../../tools/run.js');
const { runChild } = require('../child.js');
const { nodeBinary } = require('../../tools/node-versions.js');
const { rivals } = require('./table.js');

/** The oldest release line on which the newest version of each rival runs. */
const RECOMMENDED_NODE = 24;
const LIMIT_SECONDS = 120;
const folder = path.join(__dirname, '..');

/** Installs the rivals, and the packages that draw the plot, if necessary. */
async function installRivals() {
  if (isInstalled(folder)) return;
  // npm must not run the packages' scripts.
  const flags = ['--ignore-scripts', '--no-audit', '--no-fund', '--no-engine-strict'];
  const args = ['ci', '--prefix', folder, ...flags];
  await run('npm', args, { capture: true, limitSeconds: LIMIT_SECONDS });
}

/**
 * Returns the names of the rivals that load on a Node, by default on this one, and notes about
 * these rivals and about the rivals that do not load.
 */
async function findRivals(binary) {
  try {
    await installRivals();
  } catch (error) {
    const [why] = /^npm error .+$/m.exec(error.message) ?? error.message.split('\n', 1);
    return { names: [], notes: [`The bench left out the rivals: npm ci in bench: ${why}`] };
  }
  const { node, versions, notes } = await runChild('rivals', {}, { binary });
  const list = Object.entries(versions).map(([name, version]) => `${name} ${version}`);
  const known = Object.values(rivals).flatMap(({ note }) => note ?? []);
  return {
    names: Object.keys(versions),
    notes: [`Node ${node}: ${list.join(', ')}.`, ...notes, ...known],
  };
}

/** Returns the rivals that load on the recommended Node, and the path of that Node. */
async function rivalsOnTheirNode() {
  const binary = await nodeBinary(RECOMMENDED_NODE);
  return { binary, ...(await findRivals(binary)) };
}

module.exports = { findRivals, installRivals, rivalsOnTheirNode };
