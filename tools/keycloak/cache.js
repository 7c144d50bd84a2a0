/**
 * The cache of downloads and builds, outside the checkout. A process fills an entry under a
 * temporary name and then renames the entry, so that an entry is always complete, even if several
 * processes fill it at once.
 */
'use strict';

const { createHash, randomBytes } = require('node:crypto');
const { existsSync } = require('node:fs');
const { mkdir, readFile, rename, rm } = require('node:fs/promises');
const { homedir } = require('node:os');
const path = require('node:path');

function cacheFolder() {
  // The specification of XDG_CACHE_HOME requires programs to ignore a relative path.
  const xdg = process.env.XDG_CACHE_HOME ?? '';
  const base = path.isAbsolute(xdg) ? xdg : path.join(homedir(), '.cache');
  return path.join(base, 'keycloak-token-manager');
}

function unpackedFolder(version) {
  return path.join(cacheFolder(), `keycloak-${version}`);
}

/** Returns the entry's folder; `make(folder)` first fills an entry that does not exist. */
async function cached(folder, make) {
  if (existsSync(folder)) return folder;
  const temporary = `${folder}.making-${randomBytes(6).toString('hex')}`;
  await mkdir(temporary, { recursive: true });
  try {
    await make(temporary);
    await rename(temporary, folder);
  } catch (error) {
    const otherWasFirst = error.code === 'ENOTEMPTY' || error.code === 'EEXIST';
    if (!otherWasFirst) throw error;
  } finally {
    await rm(temporary, { recursive: true, force: true });
  }
  return folder;
}

/** Like `cached`, but the name of the entry contains the hash of its source files. */
async function cachedFrom(kind, files, make) {
  const hash = createHash('sha256');
  for (const file of files) hash.update(await readFile(file));
  return cached(path.join(cacheFolder(), `${kind}-${hash.digest('hex').slice(0, 16)}`), make);
}

module.exports = { cached, cachedFrom, cacheFolder, unpackedFolder };
