'use strict';

// Installs and loads the rivals of `table.js`.

const fs = require('node:fs');
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

/** Rejects if the package is missing or does not load on this Node. */
async function loadRival(name) {
  const { packageName, load } = rivals[name];
  const manifest = path.join(folder, 'node_modules', packageName, 'package.json');
  const { version } = JSON.parse(fs.readFileSync(manifest, 'utf8'));
  return { name, version, make: await load() };
}

/** The rivals that load on this Node, and a note about each of the others. */
async function loadRivals() {
  const loaded = [];
  const notes = [];
  for (const name of Object.keys(rivals)) {
    try {
      loaded.push(await loadRival(name));
    } catch (error) {
      const [why] = error.message.split('\n', 1);
      notes.push(`${name} was left out on Node ${process.versions.node}: ${why}`);
    }
  }
  return { rivals: loaded, notes };
}

/** Installs the rivals if necessary. Returns their names, or none and a note that says why. */
async function prepareRivals() {
  try {
    if (!isInstalled(folder)) {
      // npm must not run any script of the packages.
      const flags = ['--ignore-scripts', '--no-audit', '--no-fund', '--no-engine-strict'];
      const args = ['ci', '--prefix', folder, ...flags];
      await run('npm', args, { capture: true, limitSeconds: LIMIT_SECONDS });
    }
  } catch (error) {
    const [why = error.message] = /^npm error .+$/m.exec(error.message) ?? [];
    return { names: [], notes: [`The rivals were left out: npm ci in bench: ${why}`] };
  }
  const notes = Object.values(rivals).flatMap(({ note }) => note ?? []);
  return { names: Object.keys(rivals), notes };
}

/**
 * The rivals among `names` that load on that Node, by default on this one, and notes about their
 * versions and about those that do not load.
 */
async function loadableRivals(names, { binary } = {}) {
  if (names.length === 0) return { names, notes: [] };
  const { node, versions, notes } = await runChild('rivals', {}, { binary });
  const list = Object.entries(versions).map(([name, version]) => `${name} ${version}`);
  return { names: Object.keys(versions), notes: [`Node ${node}: ${list.join(', ')}.`, ...notes] };
}

/** The rivals on the recommended Node, or on this one if that Node is not available. */
async function rivalsOnTheirNode() {
  const { names, notes } = await prepareRivals();
  let binary;
  try {
    binary = await nodeBinary(RECOMMENDED_NODE);
  } catch (error) {
    notes.push(
      `Measured on this Node, because Node ${RECOMMENDED_NODE} is not available: ${error.message}`,
    );
  }
  const there = await loadableRivals(names, { binary });
  return { binary, names: there.names, notes: [...there.notes, ...notes] };
}

module.exports = { loadRival, loadRivals, loadableRivals, prepareRivals, rivalsOnTheirNode };
