'use strict';

// Argument: https token endpoint with an untrusted certificate. Blocks the event loop past the
// deadline and prints the error.

const { block, open, tell } = require('./program.js');

async function main() {
  const call = open({ requestTimeoutMs: 200 })
    .getToken()
    .catch(({ code, message }) => ({ code, message }));
  block(600);
  tell(await call);
}

main();
