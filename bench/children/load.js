'use strict';

// Measures the costs of loading the code and of the first token: time, resident memory, threads and
// sockets.

const fs = require('node:fs');

const MIB = 2 ** 20;

function look() {
  const status = fs.readFileSync('/proc/self/status', 'latin1');
  return {
    mib: process.memoryUsage.rss() / MIB,
    threads: Number(/^Threads:\s+(\d+)$/m.exec(status)[1]),
    sockets: fs.readdirSync('/proc/self/fd').filter(isSocket).length,
  };
}

function isSocket(descriptor) {
  try {
    return fs.readlinkSync(`/proc/self/fd/${descriptor}`).startsWith('socket:');
  } catch {
    // The descriptor of the listing itself.
    return false;
  }
}

module.exports = async ({ side, url, clientId, clientSecret }) => {
  // Loads the code of the measurement first.
  look();
  const before = look();
  const start = performance.now();
  const Manager =
    side === 'ours'
      ? require('../..').KeycloakTokenManager
      : require('../baseline/augment-manager.js').AugmentTokenManager;
  const requireMs = performance.now() - start;
  const loaded = look();
  const logger = { error() {}, warn() {}, info() {}, debug() {} };
  const manager = new Manager({ tokenEndpoint: url, clientId, clientSecret, logger });
  await manager.getToken();
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
