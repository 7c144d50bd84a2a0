'use strict';

// Reports which rivals load on this Node, in which version, and why the others do not.

const { loadRivals } = require('../rivals/index.js');

module.exports = async () => {
  const { rivals, notes } = await loadRivals();
  const versions = Object.fromEntries(rivals.map(({ name, version }) => [name, version]));
  return { node: process.versions.node, versions, notes };
};
