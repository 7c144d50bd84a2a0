'use strict';

// Arguments: side, token endpoint. Prints what loading the code and the first token took: time,
// resident memory, threads, sockets.

const fs = require('node:fs');

const [, , side, url] = process.argv;
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

async function main() {
  // Loads what the measurement needs before it starts.
  look();
  const before = look();
  const start = performance.now();
  const Manager =
    side === 'ours'
      ? require('../..').KeycloakTokenManager
      : require('../baseline/augment-manager.js').AugmentTokenManager;
  const requireMs = performance.now() - start;
  const loaded = look();
  const manager = new Manager({
    ...{ tokenEndpoint: url, clientId: 'bench', clientSecret: 'bench-secret' },
    logger: { error() {}, warn() {}, info() {}, debug() {} },
  });
  await manager.getToken();
  const after = look();
  const result = {
    ...{ threads: before.threads, requireMs },
    requireMib: loaded.mib - before.mib,
    requireThreads: loaded.threads - before.threads,
    requireSockets: loaded.sockets - before.sockets,
    tokenThreads: after.threads - loaded.threads,
    tokenMib: after.mib - loaded.mib,
  };
  console.log(JSON.stringify(result));
  process.exit();
}

main();
