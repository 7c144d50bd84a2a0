'use strict';

// The rivals: packages from npm that get client-credentials tokens, each used as its own docs say.
// A file of this folder is one of them: `load()` imports the package and returns a function that
// creates a manager with `getToken()` and `clearCache()` for a token endpoint.

const fs = require('node:fs');
const path = require('node:path');
const { runChild } = require('../child.js');
const { nodeBinary } = require('../../tools/node-versions.js');
const { installRivals, nodeModules } = require('./install.js');

/** The oldest release line on which each runs in its newest version. */
const RECOMMENDED_NODE = 24;

/** By the name in the table. */
const files = {
  'openid-client': './openid-client.js',
  'simple-oauth2': './simple-oauth2.js',
  '@badgateway/oauth2-client': './badgateway-oauth2-client.js',
  'google-auth-library': './google-auth-library.js',
  '@azure/msal-node': './azure-msal-node.js',
  'undici fetch': './undici-fetch.js',
  'undici request': './undici-request.js',
};

/** The path of a rival's module, for code that must load nothing else. */
function rivalModule(name) {
  return require.resolve(files[name]);
}

/** Rejects if the package is not there or does not load on this Node. */
async function loadRival(name) {
  const { packageName, load } = require(files[name]);
  const { version } = JSON.parse(
    fs.readFileSync(path.join(nodeModules, packageName, 'package.json'), 'utf8'),
  );
  return { name, version, make: await load() };
}

/** Those that load on this Node, and a note for each of the others. */
async function loadRivals() {
  const rivals = [];
  const notes = [];
  for (const name of Object.keys(files)) {
    try {
      rivals.push(await loadRival(name));
    } catch (error) {
      const [why] = error.message.split('\n', 1);
      notes.push(`${name} was left out on Node ${process.versions.node}: ${why}`);
    }
  }
  return { rivals, notes };
}

/** Installs what is missing. The names of all rivals, or none and a note that says why. */
async function prepareRivals() {
  try {
    await installRivals();
  } catch (error) {
    return { names: [], notes: [`The rivals were left out: ${error.message}`] };
  }
  const notes = Object.values(files).flatMap((file) => require(file).note ?? []);
  return { names: Object.keys(files), notes };
}

/**
 * Those of the names that load on that Node, this one by default, and notes that say in which
 * version and which do not.
 */
async function loadableRivals(names, { binary } = {}) {
  if (names.length === 0) return { names, notes: [] };
  const { node, rivals, notes } = await runChild('rivals.js', [], { binary });
  const versions = rivals.map(({ name, version }) => `${name} ${version}`).join(', ');
  return {
    names: rivals.map(({ name }) => name),
    notes: [`Node ${node}: ${versions}.`, ...notes],
  };
}

/** The rivals on the Node that they recommend, or on this one if that is not available. */
async function rivalsOnTheirNode() {
  const { names, notes } = await prepareRivals();
  let binary;
  try {
    binary = await nodeBinary(RECOMMENDED_NODE);
  } catch (error) {
    notes.push(`On this Node: Node ${RECOMMENDED_NODE} is not to be had, ${error.message}`);
  }
  const there = await loadableRivals(names, { binary });
  return { binary, names: there.names, notes: [...there.notes, ...notes] };
}

module.exports = {
  loadRival,
  loadRivals,
  loadableRivals,
  prepareRivals,
  rivalModule,
  rivalsOnTheirNode,
};
