'use strict';

// Argument: token endpoint. Prints a word once a token was asked for, keeps the event loop busy while
// the answer comes, and prints the tokens that two calls get.

const { block, open, tell } = require('./program.js');

const BUSY_MS = 500;

async function main() {
  const manager = open();
  const first = manager.getToken();
  tell('asked');
  block(BUSY_MS);
  tell([await first, await manager.getToken()]);
}

main();
