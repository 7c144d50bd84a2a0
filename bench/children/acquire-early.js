'use strict';

// Arguments: side, token endpoint, acquisitions that do not count, acquisitions that do. Prints
// what an early acquisition of a process costs: the side is alone in it.

const { loadSide } = require('../sides.js');
const { acquireBlock, acquireMany } = require('../acquire.js');

async function main(side, url, warmUp, count) {
  const manager = (await loadSide(side))(url);
  await acquireMany(manager, warmUp);
  console.log(JSON.stringify(await acquireBlock(manager, count)));
  process.exit();
}

const [, , side, url, warmUp, count] = process.argv;
main(side, url, Number(warmUp), Number(count));
