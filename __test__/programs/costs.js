'use strict';

// Prints the separate costs of loading Node's https client, loading the package, creating a manager,
// calling a closed one, and getting the first token.

const { lstatSync, readFileSync, readdirSync, readlinkSync } = require('node:fs');
const { performance } = require('node:perf_hooks');

const MIB = 2 ** 20;

function isSocket(descriptor) {
  try {
    return readlinkSync(`/proc/self/fd/${descriptor}`).startsWith('socket:');
  } catch {
    // The descriptor with which `readdirSync` read the folder is closed by now.
    return false;
  }
}

function look() {
  const status = readFileSync('/proc/self/status', 'latin1');
  return {
    ms: performance.now(),
    mib: process.memoryUsage.rss() / MIB,
    threads: Number(/^Threads:\s+(\d+)$/m.exec(status)[1]),
    sockets: readdirSync('/proc/self/fd').filter(isSocket).length,
  };
}

function since(before) {
  const after = look();
  return Object.fromEntries(Object.keys(after).map((what) => [what, after[what] - before[what]]));
}

async function main() {
  // Loads the modules that the measurement itself and every program need, before measuring.
  lstatSync(__filename);
  since(look());

  let before = look();
  require('node:https');
  const https = since(before);

  before = look();
  const { KeycloakTokenManager } = require('../..');
  const required = since(before);

  before = look();
  const client = { clientId: 'test-client', clientSecret: 'test-secret' };
  const options = { tokenEndpoint: process.argv[2], ...client };
  const manager = new KeycloakTokenManager(options);
  const constructed = since(before);

  before = look();
  const unused = new KeycloakTokenManager(options);
  await unused.close();
  const { code } = await unused.getToken().catch((error) => error);
  unused.clearCache();
  unused.invalidateToken('token');
  const closed = { ...since(before), code };

  before = look();
  await manager.getToken();
  const token = since(before);
  process.stdout.write(`${JSON.stringify({ https, required, constructed, closed, token })}\n`);
}

main();
