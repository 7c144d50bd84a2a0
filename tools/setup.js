'use strict';

// Installs missing or outdated packages and builds the addon. This script needs only Node, npm and
// Rust.

const fs = require('node:fs');
const path = require('node:path');
const { root, run, runMain } = require('./run.js');

/**
 * Whether `node_modules` in the folder contains the packages of its lock file. npm records the
 * packages that it has installed, except for optional packages for other systems. The function
 * compares contents, because a checkout changes file times.
 */
function isInstalled(folder) {
  const read = (name) => JSON.parse(fs.readFileSync(path.join(folder, name), 'utf8')).packages;
  const record = path.join('node_modules', '.package-lock.json');
  if (!fs.existsSync(path.join(folder, record))) return false;
  const installed = read(record);
  const { '': _own, ...wanted } = read('package-lock.json');
  return Object.entries(wanted).every(([name, { version, integrity, optional }]) => {
    const found = installed[name];
    if (found === undefined) return optional === true;
    return found.version === version && found.integrity === integrity;
  });
}

async function install() {
  if (isInstalled(root)) return;
  console.log('Installing the development dependencies: npm ci');
  await run('npm', ['ci', '--no-audit', '--no-fund']);
}

/**
 * Cargo's settings for a release build that takes half the time. The addon is larger and a little
 * slower, which matters only to the benchmarks and to the published packages.
 */
const QUICK_BUILD = { CARGO_PROFILE_RELEASE_LTO: 'off', CARGO_PROFILE_RELEASE_CODEGEN_UNITS: '16' };

/** Builds the addon; Cargo decides whether it is up to date. */
async function build({ isQuick = false } = {}) {
  console.log('Building the addon: the first build takes several minutes');
  const flags = ['--platform', '--release', '--no-js', '--dts', 'binding.d.ts', '--', '--locked'];
  const args = ['node_modules/@napi-rs/cli/dist/cli.js', 'build', ...flags];
  await run(process.execPath, args, { env: isQuick ? QUICK_BUILD : {} });
}

module.exports = { QUICK_BUILD, build, install, isInstalled };

runMain(module, () => install().then(build));
