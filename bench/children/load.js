'use strict';

// Measures what loading the code and the first token cost: time, resident memory, threads and
// sockets.

const fs = require('node:fs');
const { socketCount } = require('../measure.js');
const { loadSide } = require('../sides.js');

const MIB = 2 ** 20;
const CODE = { ours: '../..', plain: '../baseline/augment-manager.js' };

function look() {
  const status = fs.readFileSync('/proc/self/status', 'latin1');
  return {
    mib: process.memoryUsage.rss() / MIB,
    threads: Number(/^Threads:\s+(\d+)$/m.exec(status)[1]),
    sockets: socketCount(),
  };
}

module.exports = async ({ side, url }) => {
  // Loads the measurement's own code first.
  look();
  const before = look();
  const start = performance.now();
  require(CODE[side]);
  const requireMs = performance.now() - start;
  const loaded = look();
  const make = await loadSide(side);
  await make(url).getToken();
  const after = look();
  return {
    threads: before.threads,
    requireMs,
    requireMib: loaded.mib - before.mib,
    requireThreads: loaded.threads - before.threads,
    requireSockets: loaded.sockets - before.sockets,
    tokenThreads: after.threads - loaded.threads,
    tokenMib: after.mib - loaded.mib,
  };
};
