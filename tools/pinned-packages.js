'use strict';

// Installs the npm packages of a lock file outside the checkout, once per machine.

const { cp } = require('node:fs/promises');
const path = require('node:path');
const { cachedFrom } = require('./keycloak/cache.js');
const { run } = require('./run.js');

const MANIFESTS = ['package.json', 'package-lock.json', '.npmrc'];

/**
 * Returns the `node_modules` with the packages of a folder's manifests, and fills the cache first
 * if necessary. The name of the cache entry starts with `kind` and contains the hash of the
 * manifests.
 */
async function pinnedPackages(kind, from, log = console.log) {
  const manifests = MANIFESTS.map((name) => path.join(from, name));
  const folder = await cachedFrom(kind, manifests, async (temporary) => {
    log(`Installing the packages of ${path.basename(path.dirname(from))}/${path.basename(from)}`);
    for (const file of manifests) await cp(file, path.join(temporary, path.basename(file)));
    // No package needs its install scripts.
    const args = ['ci', '--ignore-scripts', '--no-audit', '--no-fund', '--prefix', temporary];
    await run('npm', args, { capture: true });
  });
  return path.join(folder, 'node_modules');
}

module.exports = { pinnedPackages };
