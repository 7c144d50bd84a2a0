'use strict';

// Arguments: token endpoint, number of rounds. Prints the result of each round. The second round
// begins when the test has called `goOn()` and the cool-down of the first round has ended.

const { setTimeout: delay } = require('node:timers/promises');
const { open, tell, told } = require('./program.js');

async function main(rounds) {
  const manager = open();
  let waitMs = 0;
  for (let round = 1; round <= rounds; round += 1) {
    if (round > 1) await told();
    await delay(waitMs);
    try {
      tell({ token: await manager.getToken({ forceRefresh: round > 1 }) });
    } catch ({ code, message, retryAfterMs }) {
      tell({ code, message });
      waitMs = retryAfterMs;
    }
  }
  await manager.close();
}

main(Number(process.argv[3]));
