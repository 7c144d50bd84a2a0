'use strict';

// Measures acquisitions, block by block, interleaved for the named sides. With `isAnew` each
// acquisition is by a new manager.

const { acquireBlock, acquireMany } = require('../acquire.js');
const { measureSides } = require('../measure.js');
const { loadSide } = require('../sides.js');

/** A manager that is replaced before every acquisition. */
function anew(make, url) {
  let last;
  return {
    acquire() {
      last?.close?.();
      last = make(url);
      return last.getToken();
    },
  };
}

module.exports = async ({ url, names, warmUp, blocks, count, isAnew }) => {
  const managers = {};
  for (const name of names) {
    const make = await loadSide(name);
    managers[name] = isAnew ? anew(make, url) : make(url);
    await acquireMany(managers[name], warmUp);
  }
  return measureSides(names, { rounds: blocks }, (name) => acquireBlock(managers[name], count));
};
