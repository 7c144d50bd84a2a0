'use strict';

// Installs the npm packages of a lock file outside the checkout, once per machine.

const { existsSync } = require('node:fs');
const { cp, readdir } = require('node:fs/promises');
const path = require('node:path');
const { cachedFrom } = require('./keycloak/cache.js');
const { run } = require('./run.js');

const MANIFESTS = ['package.json', 'package-lock.json', '.npmrc'];
/** A folder of packages that the manifests name with `file:`. */
const OWN_PACKAGES = 'packages';

/**
 * Returns the `node_modules` with the packages of a folder's manifests, and fills the cache first
 * if necessary. The name of the cache entry starts with `kind` and contains the hash of the
 * manifests and of the folder's own packages.
 */
async function pinnedPackages(kind, from, log = console.log) {
  const files = [...MANIFESTS, ...(await ownPackages(from))];
  const sources = files.map((name) => path.join(from, name));
  const folder = await cachedFrom(kind, sources, async (temporary) => {
    log(`Installing the packages of ${path.basename(path.dirname(from))}/${path.basename(from)}`);
    for (const name of files) await cp(path.join(from, name), path.join(temporary, name));
    // None of the packages needs its install scripts.
    const args = ['ci', '--ignore-scripts', '--no-audit', '--no-fund', '--prefix', temporary];
    await run('npm', args, { capture: true });
  });
  return path.join(folder, 'node_modules');
}

/** Returns the files of the folder's own packages, as paths from the folder, in a fixed order. */
async function ownPackages(from) {
  const packages = path.join(from, OWN_PACKAGES);
  if (!existsSync(packages)) return [];
  const entries = await readdir(packages, { recursive: true, withFileTypes: true });
  const files = entries.filter((entry) => entry.isFile());
  return files
    .map((entry) => path.relative(from, path.join(entry.parentPath ?? entry.path, entry.name)))
    .sort();
}

module.exports = { pinnedPackages };
