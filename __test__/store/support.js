/** Installs the clients of cache servers outside the checkout, once per machine. */
'use strict';

const path = require('node:path');
const { pinnedPackages } = require('../../tools/pinned-packages.js');

const INSTALL_TIMEOUT_MS = 10 * 60 * 1000;

/** Resolves with a function that returns the `node_modules` for a store of `program.js`. */
async function installClients() {
  const clients = await pinnedPackages('stores', path.join(__dirname, 'dependencies'));
  const release = path.join(__dirname, '..', 'backstage', 'dependencies', 'newest');
  const backstage = await pinnedPackages('backstage', release);
  return (name) => (name.includes('Backstage') ? backstage : clients);
}

module.exports = { INSTALL_TIMEOUT_MS, installClients };
