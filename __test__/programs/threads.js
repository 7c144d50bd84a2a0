'use strict';

// Arguments: token endpoint, secret file, number of managers. Prints two thread counts,
// without Node's own threads: the count after the program has made the managers, and the maximum
// while all managers get their tokens.

const fs = require('node:fs');
const { open, tell } = require('./program.js');

const NODE_POOL = 4;
const LOOK_MS = 1;

function threads() {
  return fs.readdirSync('/proc/self/task').length;
}

async function main([, clientSecretFile, count]) {
  // Node starts its own threads when it needs them, so the program makes Node start them first.
  const read = () => fs.promises.readFile(clientSecretFile);
  await Promise.all(Array.from({ length: NODE_POOL }, read));
  const before = threads();
  const options = { clientSecret: undefined, clientSecretFile };
  const managers = Array.from({ length: Number(count) }, () => open(options));
  const made = threads() - before;
  let most = 0;
  const looking = setInterval(() => {
    most = Math.max(most, threads() - before);
  }, LOOK_MS);
  const tokens = await Promise.all(managers.map((manager) => manager.getToken()));
  clearInterval(looking);
  tell({ made, most, tokens: new Set(tokens).size });
  await Promise.all(managers.map((manager) => manager.close()));
}

main(process.argv.slice(2));
