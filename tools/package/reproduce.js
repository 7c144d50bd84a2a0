'use strict';

// Builds a binary a second time from a copy of the sources in another folder, without any file of
// the first build, and compares the two.

const { cp, mkdtemp, readFile, rm } = require('node:fs/promises');
const os = require('node:os');
const path = require('node:path');
const { root, run } = require('../run.js');
const { SOURCES } = require('./build.js');

const BESIDE_SOURCES = ['package.json', 'tests', 'tools'];
const LIMIT_SECONDS = 2400;

/** Rejects if the second build of the target differs from the `first`. */
async function reproduce(name, first) {
  const folder = await mkdtemp(path.join(os.tmpdir(), 'keycloak-token-manager-again-'));
  try {
    for (const entry of [...SOURCES, ...BESIDE_SOURCES]) {
      await cp(path.join(root, entry), path.join(folder, entry), { recursive: true });
    }
    const binary = path.join(folder, 'again.node');
    const script = path.join(folder, 'tools', 'package', 'build.js');
    await run(process.execPath, [script, name, binary, path.join(folder, 'symbols')], {
      limitSeconds: LIMIT_SECONDS,
      env: { CARGO_TARGET_DIR: path.join(folder, 'target') },
    });
    if (!(await readFile(binary)).equals(first)) {
      throw new Error(`a second build of ${name} in ${folder} produced a different binary`);
    }
    console.log(`A second build of ${name} in another folder produced the same bytes.`);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

module.exports = { reproduce };
