/**
 * Gets a Keycloak distribution by its Maven coordinates, checks it and unpacks it into the cache.
 * What is unpacked there is never written to again.
 */
'use strict';

const { execFile } = require('node:child_process');
const { createHash } = require('node:crypto');
const { createReadStream, existsSync } = require('node:fs');
const { readFile, readdir, rename, rmdir } = require('node:fs/promises');
const path = require('node:path');
const { pipeline } = require('node:stream/promises');
const { promisify, stripVTControlCharacters } = require('node:util');

const { cached, unpackedFolder } = require('./cache');

const run = promisify(execFile);

const GROUP = 'org.keycloak';
const ARTIFACT = 'keycloak-quarkus-dist';
const SHA256 = {
  '22.0.5': 'f1216b003e9e493d74c2b715e76148e50102babb670d5c0784843662ff48aa51',
  '24.0.5': '5ee1aefa6c611c57e1ee94406e0e51b91b8242b93072cafd19b88f72a4404702',
  '26.7.5': '30ef87fb7101c43d29688d1ae80c0588ff4a151b3330e9f664bf9692d398658a',
};

/** The folder of the unpacked distribution, from the cache if it is there. */
function distribution(version, log) {
  return cached(unpackedFolder(version), async (folder) => {
    const zip = await download(version, log);
    await verify(zip, version, log);
    log(`unpacking Keycloak ${version}`);
    await unpack(zip, folder);
  });
}

async function download(version, log) {
  const name = `${ARTIFACT}-${version}.zip`;
  const zip = path.join(await localRepository(), ...GROUP.split('.'), ARTIFACT, version, name);
  if (existsSync(zip)) return zip;
  const coordinates = `${GROUP}:${ARTIFACT}:${version}:zip`;
  log(`downloading ${coordinates} (about 170 MB)`);
  await maven('dependency:get', `-Dartifact=${coordinates}`, '-Dtransitive=false');
  return zip;
}

async function localRepository() {
  const { stdout } = await maven(
    'help:evaluate',
    '-Dexpression=settings.localRepository',
    '-DforceStdout',
  );
  // Some versions of mvn end the output with a colour reset whatever they write to.
  return stripVTControlCharacters(stdout).trim();
}

async function maven(...args) {
  try {
    return await run('mvn', ['-q', '-B', ...args]);
  } catch (error) {
    const output = stripVTControlCharacters(`${error.stdout}${error.stderr}`).trim();
    throw new Error(`mvn ${args.join(' ')} failed: ${output || error.message}`);
  }
}

async function verify(zip, version, log) {
  const pinned = SHA256[version];
  if (pinned !== undefined) {
    await compare(zip, 'sha256', pinned);
    return;
  }
  log(`no SHA-256 is pinned for Keycloak ${version}: only the SHA-1 from Maven is checked`);
  const beside = await readFile(`${zip}.sha1`, 'utf8');
  await compare(zip, 'sha1', beside.trim().split(/\s/)[0]);
}

async function compare(zip, algorithm, expected) {
  const hash = createHash(algorithm);
  await pipeline(createReadStream(zip), hash);
  const seen = hash.digest('hex');
  if (seen !== expected) {
    throw new Error(
      `${zip} has ${algorithm} ${seen} instead of ${expected}: delete it to download it again`,
    );
  }
}

/** Leaves the contents of the zip's one top folder in `folder`. */
async function unpack(zip, folder) {
  await extract(zip, folder);
  const [top, ...others] = await readdir(folder);
  if (top === undefined || others.length > 0) throw new Error(`${zip} has no single top folder`);
  for (const name of await readdir(path.join(folder, top))) {
    await rename(path.join(folder, top, name), path.join(folder, name));
  }
  await rmdir(path.join(folder, top));
}

/** A JDK has `jar`, a bare runtime has not; file modes do not matter, for `sh` runs `kc.sh`. */
async function extract(zip, folder) {
  const home = process.env.JAVA_HOME;
  const tools = [
    ['unzip', '-q', zip],
    [home ? path.join(home, 'bin', 'jar') : 'jar', 'xf', zip],
    ['python3', '-m', 'zipfile', '-e', zip, '.'],
  ];
  for (const [command, ...args] of tools) {
    try {
      await run(command, args, { cwd: folder });
      return;
    } catch (error) {
      if (error.code !== 'ENOENT') throw error;
    }
  }
  throw new Error(`nothing here unpacks ${zip}: install unzip or a full JDK (jar)`);
}

module.exports = { distribution };
