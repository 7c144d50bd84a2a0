'use strict';

// Installs the rivals by the lock of this folder when they are not there as it says. None of their
// scripts runs.

const { execFile } = require('node:child_process');
const fs = require('node:fs');
const path = require('node:path');
const { promisify } = require('node:util');

const folder = path.join(__dirname, '..');
const nodeModules = path.join(folder, 'node_modules');
const LIMIT_MS = 120_000;

function readPackages(file) {
  return JSON.parse(fs.readFileSync(file, 'utf8')).packages;
}

/** Compares contents with the record that npm keeps: a checkout changes the times of files. */
function isInstalled() {
  const wanted = readPackages(path.join(folder, 'package-lock.json'));
  let installed;
  try {
    installed = readPackages(path.join(nodeModules, '.package-lock.json'));
  } catch {
    return false;
  }
  return Object.entries(wanted).every(
    ([name, { integrity }]) => name === '' || installed[name]?.integrity === integrity,
  );
}

/** Rejects with one line if they are not available. */
async function installRivals() {
  if (isInstalled()) return;
  const options = ['--ignore-scripts', '--no-audit', '--no-fund', '--no-engine-strict'];
  try {
    await promisify(execFile)('npm', ['ci', ...options], { cwd: folder, timeout: LIMIT_MS });
  } catch (error) {
    const [why = error.message] = /^npm error .+$/m.exec(error.stderr) ?? [];
    throw new Error(`npm ci in ${path.basename(folder)}: ${why}`);
  }
}

module.exports = { installRivals, nodeModules };
