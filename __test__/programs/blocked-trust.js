'use strict';

// Argument: token endpoint, over https with a certificate that nothing known vouches for. Blocks the
// event loop over the deadline, and prints the error.

const { block, open, tell } = require('./program.js');

async function main() {
  const call = open({ requestTimeoutMs: 200 })
    .getToken()
    .catch(({ code, message }) => ({ code, message }));
  block(600);
  tell(await call);
}

main();
