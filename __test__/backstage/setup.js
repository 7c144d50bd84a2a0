/**
 * Installs a Backstage release outside the checkout, once per machine, and makes workspaces that
 * use it together with this package, laid out as a Backstage monorepo is: Backstage looks for
 * configuration schemas from the workspace's members on.
 */
'use strict';

const { execFile } = require('node:child_process');
const { createHash } = require('node:crypto');
const {
  cp,
  mkdir,
  mkdtemp,
  readdir,
  readFile,
  rm,
  symlink,
  writeFile,
} = require('node:fs/promises');
const { tmpdir } = require('node:os');
const path = require('node:path');
const { promisify } = require('node:util');

const { cached, cacheFolder } = require('../../tools/keycloak/cache');

const run = promisify(execFile);

const ROOT = path.join(__dirname, '..', '..');
const PACKAGE = require('../../package.json');
const MANIFESTS = ['package.json', 'package-lock.json', '.npmrc'];

/** The `node_modules` of a release (a folder of `dependencies`), from the cache if it is there. */
async function installed(release, log) {
  const from = path.join(__dirname, 'dependencies', release);
  const hash = createHash('sha256');
  for (const name of MANIFESTS) hash.update(await readFile(path.join(from, name)));
  const entry = `backstage-${hash.digest('hex').slice(0, 16)}`;
  const folder = await cached(path.join(cacheFolder(), entry), async (temporary) => {
    log(`installing the ${release} Backstage packages, about 300 MB`);
    for (const name of MANIFESTS) await cp(path.join(from, name), path.join(temporary, name));
    // Nothing here needs what the packages would build, such as a database.
    const args = ['ci', '--ignore-scripts', '--no-audit', '--no-fund', '--prefix', temporary];
    await run('npm', args, { cwd: temporary }).catch((error) => {
      throw new Error(`npm ci failed: ${error.stderr || error.message}`);
    });
  });
  return path.join(folder, 'node_modules');
}

/**
 * Makes a workspace in a temporary folder.
 *
 * @param {string[]} members Folders with a `package.json`, copied into it.
 * @returns its `folder`, a `require` that resolves as its members do, and `remove()`.
 */
async function makeWorkspace(members, { release = 'newest', log = console.error } = {}) {
  const there = await installed(release, log);
  const folder = await mkdtemp(path.join(tmpdir(), 'keycloak-token-manager-backstage-'));
  const modules = path.join(folder, 'node_modules');
  await mkdir(modules);
  for (const name of await readdir(there)) {
    if (!name.startsWith('.')) await symlink(path.join(there, name), path.join(modules, name));
  }
  await copyPackage(path.join(modules, PACKAGE.name));
  for (const member of members) {
    const { name } = JSON.parse(await readFile(path.join(member, 'package.json'), 'utf8'));
    await cp(member, path.join(folder, 'packages', name), { recursive: true });
    await symlink(path.join('..', 'packages', name), path.join(modules, name));
  }
  const manifest = { name: 'workspace', private: true, workspaces: ['packages/*'] };
  await writeFile(path.join(folder, 'package.json'), JSON.stringify(manifest));
  return {
    folder,
    require: require('node:module').createRequire(path.join(folder, 'package.json')),
    remove: () => rm(folder, { recursive: true, force: true }),
  };
}

/** What npm would install of this package. A link would look for the peers in the checkout. */
async function copyPackage(to) {
  for (const name of ['package.json', ...(await readdir(ROOT)).filter(isPublished)]) {
    await cp(path.join(ROOT, name), path.join(to, name), { recursive: true });
  }
}

function isPublished(name) {
  return PACKAGE.files.some((pattern) =>
    pattern.startsWith('*') ? name.endsWith(pattern.slice(1)) : name === pattern,
  );
}

module.exports = { makeWorkspace };
