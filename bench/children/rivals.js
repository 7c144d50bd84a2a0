'use strict';

// Reports the rivals that load on this Node with their versions, and the reasons why the other
// rivals do not load.

const fs = require('node:fs');
const path = require('node:path');
const { rivals } = require('../rivals/table.js');

const MODULES = path.join(__dirname, '..', 'node_modules');

module.exports = async () => {
  const { node } = process.versions;
  const versions = {};
  const notes = [];
  for (const [name, { load }] of Object.entries(rivals)) {
    try {
      await load();
      const manifest = fs.readFileSync(path.join(MODULES, name, 'package.json'), 'utf8');
      versions[name] = JSON.parse(manifest).version;
    } catch (error) {
      notes.push(`The bench left out ${name} on Node ${node}: ${error.message.split('\n', 1)[0]}`);
    }
  }
  return { node, versions, notes };
};
