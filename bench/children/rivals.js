'use strict';

// Prints which rivals load on this Node, in which version, and why the others do not.

const { loadRivals } = require('../rivals/index.js');

loadRivals().then(({ rivals, notes }) => {
  const loaded = rivals.map(({ name, version }) => ({ name, version }));
  console.log(JSON.stringify({ node: process.versions.node, rivals: loaded, notes }));
  process.exit();
});
