'use strict';

// Installs other versions of Node in the user's cache folder, from npm packages with pinned hashes.

const path = require('node:path');
const { pinnedPackages } = require('./pinned-packages.js');
const { dependencies } = require('./nodes/package.json');

const nodeMajors = Object.keys(dependencies).map((name) => Number(name.replace('node-', '')));

/**
 * Resolves with the path of a Node of that major version; rejects if that Node is not available on
 * this system.
 */
async function nodeBinary(major) {
  if (Number(process.versions.node.split('.', 1)[0]) === major) return process.execPath;
  const { platform, arch, report } = process;
  const isGlibc = report.getReport().header.glibcVersionRuntime !== undefined;
  if (platform !== 'linux' || arch !== 'x64' || !isGlibc) {
    throw new Error(`there is no package of Node for this ${platform} on ${arch}`);
  }
  const folder = await pinnedPackages('nodes', path.join(__dirname, 'nodes'));
  return path.join(folder, `node-${major}`, 'bin', 'node');
}

module.exports = { nodeBinary, nodeMajors };
