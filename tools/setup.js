'use strict';

// Installs and builds what is missing or out of date. Needs Node, npm and Rust, nothing else.

const fs = require('node:fs');
const path = require('node:path');
const { root, run } = require('./run.js');

function readPackages(file) {
  return JSON.parse(fs.readFileSync(path.join(root, file), 'utf8')).packages;
}

/**
 * Whether node_modules holds what package-lock.json asks for. npm leaves a record of what it
 * installed; optional packages for other systems are missing from it. Contents are compared, since
 * a checkout changes the times of files at will.
 */
function isInstalled() {
  const wanted = readPackages('package-lock.json');
  let installed;
  try {
    installed = readPackages('node_modules/.package-lock.json');
  } catch {
    return false;
  }
  return Object.entries(wanted).every(([name, { version, integrity, optional }]) => {
    if (name === '') return true;
    const there = installed[name];
    if (there === undefined) return optional === true;
    return there.version === version && there.integrity === integrity;
  });
}

async function install() {
  if (isInstalled()) return;
  console.log('Installing the development dependencies: npm ci');
  await run('npm', ['ci', '--no-audit', '--no-fund']);
}

/** Cargo decides whether there is anything to do. */
async function build() {
  console.log('Building the addon; the first build takes some minutes');
  await run(process.execPath, [
    ...['node_modules/@napi-rs/cli/dist/cli.js', 'build', '--platform', '--release'],
    ...['--no-js', '--dts', 'binding.d.ts', '--', '--locked'],
  ]);
}

module.exports = { build, install };

if (require.main === module) {
  install()
    .then(build)
    .catch((error) => {
      console.error(error.message);
      process.exitCode = 1;
    });
}
