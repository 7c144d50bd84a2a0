'use strict';

// Installs the npm packages of a lock file outside the checkout, once per machine.

const { createHash } = require('node:crypto');
const { cp, readFile } = require('node:fs/promises');
const path = require('node:path');
const { cached, cacheFolder } = require('./keycloak/cache.js');
const { run } = require('./run.js');

const MANIFESTS = ['package.json', 'package-lock.json', '.npmrc'];

/**
 * The `node_modules` with the packages of a folder's manifests, from the cache if it is there. The
 * name of the entry in the cache starts with `kind` and contains the hash of the manifests.
 */
async function pinnedPackages(kind, from, log = console.log) {
  const hash = createHash('sha256');
  for (const name of MANIFESTS) hash.update(await readFile(path.join(from, name)));
  const entry = `${kind}-${hash.digest('hex').slice(0, 16)}`;
  const folder = await cached(path.join(cacheFolder(), entry), async (temporary) => {
    log(`Installing the packages of ${path.basename(path.dirname(from))}/${path.basename(from)}`);
    for (const name of MANIFESTS) await cp(path.join(from, name), path.join(temporary, name));
    // No script of a package is needed.
    const args = ['ci', '--ignore-scripts', '--no-audit', '--no-fund', '--prefix', temporary];
    await run('npm', args, { capture: true });
  });
  return path.join(folder, 'node_modules');
}

module.exports = { pinnedPackages };
