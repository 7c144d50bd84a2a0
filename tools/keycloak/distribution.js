/**
 * Downloads a Keycloak distribution with Maven, checks its hash and unpacks it into the cache. No
 * process changes the unpacked files.
 */
'use strict';

const { createHash } = require('node:crypto');
const { createReadStream } = require('node:fs');
const { readdir, rename, rm } = require('node:fs/promises');
const path = require('node:path');
const { pipeline } = require('node:stream/promises');
const { stripVTControlCharacters } = require('node:util');

const { run } = require('../run.js');
const { cached, unpackedFolder } = require('./cache');

const ARTIFACT = 'keycloak-quarkus-dist';
const SHA256 = {
  '22.0.5': 'f1216b003e9e493d74c2b715e76148e50102babb670d5c0784843662ff48aa51',
  '24.0.5': '5ee1aefa6c611c57e1ee94406e0e51b91b8242b93072cafd19b88f72a4404702',
  '26.7.5': '30ef87fb7101c43d29688d1ae80c0588ff4a151b3330e9f664bf9692d398658a',
};

/** Returns the folder of the unpacked distribution, and fills the cache first if necessary. */
function distribution(version, log) {
  return cached(unpackedFolder(version), async (folder) => {
    const artifact = `org.keycloak:${ARTIFACT}:${version}:zip`;
    log(`downloading ${artifact} (about 170 MB)`);
    await maven('dependency:copy', artifact, folder);
    const zip = path.join(folder, `${ARTIFACT}-${version}.zip`);
    await verify(zip, version, log);
    await rm(zip);
    log(`unpacking Keycloak ${version}`);
    await maven('dependency:unpack', artifact, folder);
    const top = path.join(folder, `keycloak-${version}`);
    for (const name of await readdir(top))
      await rename(path.join(top, name), path.join(folder, name));
    await rm(top, { recursive: true });
  });
}

/** Runs a goal for the artifact. Maven enforces the SHA-1 checksums of the repository. */
async function maven(goal, artifact, folder) {
  const flags = ['--quiet', '--batch-mode', '--strict-checksums'];
  const options = [`-Dartifact=${artifact}`, `-DoutputDirectory=${folder}`];
  await run('mvn', [...flags, goal, ...options], { capture: true }).catch((error) => {
    throw new Error(stripVTControlCharacters(error.message));
  });
}

async function verify(zip, version, log) {
  const pinned = SHA256[version];
  if (pinned === undefined) {
    log(`no pinned SHA-256 for Keycloak ${version}: Maven checks only its SHA-1`);
    return;
  }
  const hash = createHash('sha256');
  await pipeline(createReadStream(zip), hash);
  const found = hash.digest('hex');
  if (found !== pinned) {
    throw new Error(
      `Keycloak ${version} has the SHA-256 ${found} instead of ${pinned}: delete it from the ` +
        'local Maven repository to download it again',
    );
  }
}

module.exports = { distribution };
