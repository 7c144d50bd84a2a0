'use strict';

// Argument: token endpoint. Calls a closed manager, and prints how many threads the process has
// gained since before the manager was created.

const fs = require('node:fs');
const { open, tell } = require('./program.js');

const threads = () => fs.readdirSync('/proc/self/task').length;

async function main() {
  const before = threads();
  const manager = open();
  await manager.close();
  const { code } = await manager.getToken().catch((error) => error);
  manager.clearCache();
  const wasDropped = manager.invalidateToken('token');
  tell({ code, wasDropped, more: threads() - before });
}

main();
