/**
 * Installs a Backstage release outside the checkout, once per machine, and makes workspaces that
 * use it and this package. The workspaces have the layout of a Backstage monorepo, because
 * Backstage looks for configuration schemas in the dependencies of the workspace's members.
 */
'use strict';

const fs = require('node:fs/promises');
const { tmpdir } = require('node:os');
const path = require('node:path');

const { pinnedPackages } = require('./pinned-packages.js');

const ROOT = path.join(__dirname, '..');
const PACKAGE = require('../package.json');

/**
 * Makes a workspace in a temporary folder.
 *
 * @param {string[]} members folders with a `package.json` to copy into the workspace
 * @param {object} [options]
 * @param {string} [options.release] the Backstage release, a folder of `dependencies`
 * @param {(folder: string) => Promise<void>} [options.install] installs this package in the
 *   folder's `node_modules`, by default from the checkout
 * @param {(line: string) => void} [options.log]
 * @returns its `folder`, a `require` that resolves modules as its members do, and `remove()`
 */
async function makeWorkspace(members, options = {}) {
  const { release = 'newest', install = installCheckout, log = console.error } = options;
  const there = await pinnedPackages(
    'backstage',
    path.join(ROOT, '__test__', 'backstage', 'dependencies', release),
    log,
  );
  const folder = await fs.mkdtemp(path.join(tmpdir(), 'keycloak-token-manager-backstage-'));
  const modules = path.join(folder, 'node_modules');
  await fs.mkdir(modules);
  for (const name of await fs.readdir(there)) {
    if (!name.startsWith('.')) await fs.symlink(path.join(there, name), path.join(modules, name));
  }
  await install(folder);
  for (const member of members) {
    const { name } = JSON.parse(await fs.readFile(path.join(member, 'package.json'), 'utf8'));
    await fs.cp(member, path.join(folder, 'packages', name), { recursive: true });
    await fs.symlink(path.join('..', 'packages', name), path.join(modules, name));
  }
  const manifest = { name: 'workspace', private: true, workspaces: ['packages/*'] };
  await fs.writeFile(path.join(folder, 'package.json'), JSON.stringify(manifest));
  return {
    folder,
    require: require('node:module').createRequire(path.join(folder, 'package.json')),
    remove: () => fs.rm(folder, { recursive: true, force: true }),
  };
}

/**
 * Copies the files that npm would install. If this folder were a link, the package would resolve
 * the checkout's peer dependencies.
 */
async function installCheckout(folder) {
  const to = path.join(folder, 'node_modules', PACKAGE.name);
  const isBinary = (name) => name.endsWith('.node');
  const binaries = (await fs.readdir(ROOT)).filter(isBinary);
  for (const name of ['package.json', ...PACKAGE.files, ...binaries]) {
    await fs.cp(path.join(ROOT, name), path.join(to, name), { recursive: true });
  }
}

module.exports = { makeWorkspace };
