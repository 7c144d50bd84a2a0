'use strict';

// Arguments: token endpoint, ms until the event loop is blocked, ms until it is free again. Prints
// what the first caller after that sees.

const { setTimeout: delay } = require('node:timers/promises');
const { block, open, tell } = require('./program.js');

async function main(from, until) {
  const one = open();
  const start = performance.now();
  const first = await one.getToken();
  const cached = await one.getToken();
  await delay(from - (performance.now() - start));
  block(until - (performance.now() - start));
  const { hits, acquisitions } = one.snapshot().counters;
  const asked = performance.now();
  const token = await one.getToken();
  const ms = performance.now() - asked;
  const { exp } = JSON.parse(Buffer.from(token.split('.')[1], 'base64url'));
  tell({
    ms,
    counters: { hits, acquisitions },
    wasCached: cached === first,
    isNew: token !== first,
    left: exp - Date.now() / 1000,
  });
}

main(Number(process.argv[3]), Number(process.argv[4]));
