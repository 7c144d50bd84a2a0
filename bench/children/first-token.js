'use strict';

// Arguments: side, token endpoint, for a rival its module. Prints how long the first token took.

const [, , side, url, rival] = process.argv;
const given = { tokenEndpoint: url, clientId: 'bench', clientSecret: 'bench-secret' };

/** No side's code may be loaded before the time counts, nor another side's at all. */
const makers = {
  ours() {
    const { KeycloakTokenManager } = require('../..');
    return new KeycloakTokenManager(given);
  },
  plain() {
    const { AugmentTokenManager } = require('../baseline/augment-manager.js');
    return new AugmentTokenManager({ ...given, logger: { error() {}, debug() {} } });
  },
  raw() {
    const { RawClient } = require('../raw-client.js');
    return new RawClient(url);
  },
  async rival() {
    const make = await require(rival).load();
    return make(url);
  },
};

async function main() {
  const start = performance.now();
  const manager = await makers[rival === undefined ? side : 'rival']();
  const token = await manager.getToken();
  const end = performance.now();
  if (typeof token !== 'string') throw new Error('no token');
  console.log(JSON.stringify({ ms: end - start, sinceStartMs: end }));
  process.exit();
}

main();
