/** Installs the clients of cache servers outside the checkout, once per machine. */
'use strict';

const path = require('node:path');
const { pinnedPackages } = require('../../tools/pinned-packages.js');

const INSTALL_TIMEOUT_MS = 10 * 60 * 1000;

/** Resolves with a function that returns the `node_modules` for a store of `program.js`. */
async function installClients() {
  const clients = await pinnedPackages('stores', path.join(__dirname, 'dependencies'));
  const releases = path.join(__dirname, '..', 'backstage', 'dependencies');
  const newest = await pinnedPackages('backstage', path.join(releases, 'newest'));
  const oldest = await pinnedPackages('backstage', path.join(releases, 'oldest'));
  return (name) => {
    if (!name.includes('Backstage')) return clients;
    return name.includes('oldest') ? oldest : newest;
  };
}

module.exports = { INSTALL_TIMEOUT_MS, installClients };
