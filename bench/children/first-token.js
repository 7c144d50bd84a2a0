'use strict';

// Arguments: side, token endpoint. Prints how long the first token took.

const [, , side, url] = process.argv;

async function main() {
  const start = performance.now();
  // The other side's code must not be loaded here, so each is loaded by itself.
  const manager = side === 'ours' ? makeOurs() : makePlain();
  const token = await manager.getToken();
  const end = performance.now();
  if (typeof token !== 'string') throw new Error('no token');
  console.log(JSON.stringify({ ms: end - start, sinceStartMs: end }));
  process.exit();
}

function makeOurs() {
  const { KeycloakTokenManager } = require('../..');
  return new KeycloakTokenManager({
    ...{ tokenEndpoint: url, clientId: 'bench', clientSecret: 'bench-secret' },
  });
}

function makePlain() {
  const { AugmentTokenManager } = require('../baseline/augment-manager.js');
  return new AugmentTokenManager({
    ...{ tokenEndpoint: url, clientId: 'bench', clientSecret: 'bench-secret' },
    logger: { error() {}, debug() {} },
  });
}

main();
