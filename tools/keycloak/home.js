/**
 * Makes the temporary home of one Keycloak: links to the large parts of the distribution, which the
 * server only reads; copies of the parts that the server changes; and the realms that the server
 * imports.
 */
'use strict';

const { createHash } = require('node:crypto');
const { existsSync } = require('node:fs');
const { copyFile, cp, mkdir, mkdtemp, symlink } = require('node:fs/promises');
const { tmpdir } = require('node:os');
const path = require('node:path');

const { cached, cacheFolder } = require('./cache');

/** A file called `x-realm.json` must hold the realm `x`, or Keycloak does not start. */
const REALMS = ['realm.json', 'disabled-realm.json'];
/** `kc.sh` and `quarkus-run.jar` derive the home from their location, so they cannot be links. */
const COPIED = ['bin/kc.sh', 'conf', 'lib/quarkus-run.jar', 'providers', 'themes', 'version.txt'];
const LINKED = ['lib/app', 'lib/lib'];
/** The folder of the home into which Keycloak writes its build at the first start. */
const BUILD = path.join('lib', 'quarkus');

async function makeHome(distribution, build) {
  const home = await mkdtemp(path.join(tmpdir(), 'keycloak-home-'));
  for (const name of COPIED) {
    await cp(path.join(distribution, name), path.join(home, name), { recursive: true });
  }
  for (const name of LINKED) {
    await symlink(path.join(distribution, name), path.join(home, name));
  }
  const built = existsSync(build) ? build : path.join(distribution, BUILD);
  await cp(built, path.join(home, BUILD), { recursive: true });
  const imports = path.join(home, 'data', 'import');
  await mkdir(imports, { recursive: true });
  for (const name of REALMS) {
    await copyFile(path.join(__dirname, name), path.join(imports, name));
  }
  return home;
}

/** Returns the folder in the cache for the build of this version with these options. */
function buildFolder(version, java, options) {
  const key = createHash('sha256')
    .update(JSON.stringify([java, options]))
    .digest('hex');
  return path.join(cacheFolder(), `keycloak-${version}-build-${key.slice(0, 12)}`);
}

/** Stores the build of a started server in the cache, because a build takes a long time. */
async function keepBuild(home, build) {
  await cached(build, (folder) => cp(path.join(home, BUILD), folder, { recursive: true }));
}

module.exports = { buildFolder, keepBuild, makeHome };
