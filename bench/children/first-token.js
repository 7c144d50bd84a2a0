'use strict';

// Measures the time until the first token of a process. The code of the side is loaded while the
// time counts, and the code of other sides is not loaded.

const makers = {
  ours({ url, ...given }) {
    const { KeycloakTokenManager } = require('../..');
    return new KeycloakTokenManager({ tokenEndpoint: url, ...given });
  },
  plain({ url, ...given }) {
    const { AugmentTokenManager } = require('../baseline/augment-manager.js');
    const logger = { error() {}, debug() {} };
    return new AugmentTokenManager({ tokenEndpoint: url, ...given, logger });
  },
  raw({ url }) {
    const { RawClient } = require('../raw-client.js');
    return new RawClient(url);
  },
};

async function makeRival(side, { url }) {
  const { rivals } = require('../rivals/table.js');
  const make = await rivals[side].load();
  return make(url);
}

module.exports = async ({ side, ...given }) => {
  const start = performance.now();
  const manager = await (makers[side]?.(given) ?? makeRival(side, given));
  const token = await manager.getToken();
  const end = performance.now();
  if (typeof token !== 'string') throw new Error('no token');
  return { ms: end - start, sinceStartMs: end };
};
