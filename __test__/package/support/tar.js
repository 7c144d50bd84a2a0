'use strict';

// Reads and writes the tar archives of npm packages with the command tar.

const { execFileSync } = require('node:child_process');
const fs = require('node:fs');
const os = require('node:os');
const path = require('node:path');

/** Calls `use` with a temporary folder. */
function inFolder(use) {
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'keycloak-token-manager-tar-'));
  try {
    return use(folder);
  } finally {
    fs.rmSync(folder, { recursive: true });
  }
}

/** File contents by path inside the package. */
const unpack = (archive) =>
  inFolder((folder) => {
    execFileSync('tar', ['-xzf', '-', '-C', folder, '--strip-components=1'], { input: archive });
    const names = fs.readdirSync(folder, { recursive: true }).sort();
    const isFile = (name) => fs.statSync(path.join(folder, name)).isFile();
    const read = (name) => [name, fs.readFileSync(path.join(folder, name))];
    return new Map(names.filter(isFile).map(read));
  });

/** An archive with one file of the package. */
const pack = (name, text) =>
  inFolder((folder) => {
    fs.mkdirSync(path.join(folder, 'package'));
    fs.writeFileSync(path.join(folder, 'package', name), text);
    return execFileSync('tar', ['-czf', '-', '-C', folder, 'package']);
  });

module.exports = { pack, unpack };
