'use strict';

// Measures managers that share a store through this client: their first tokens from the store,
// beside the first tokens of managers without a store; concurrent callers while the store is empty;
// or one first token.

const { setTimeout: delay } = require('node:timers/promises');
const { openStore } = require('../../__test__/store/stores.js');
const { openKeyvMap } = require('../rivals/keyv.js');
const { makeOurs } = require('../sides.js');

const STORE_KEY = 'a-key-that-all-replicas-of-the-bench-have';
const POLL_MS = 10;

async function timed(call) {
  const start = performance.now();
  await call();
  return performance.now() - start;
}

async function openingOf(client, url, settings) {
  if (client === 'Keyv map') {
    const map = await openKeyvMap(url, settings);
    return () => map;
  }
  const { store } = openStore(client, settings.modules, settings.port);
  return () => makeOurs(url, { store, storeKey: STORE_KEY });
}

const tokenOf = (open) => open().getToken();

const MEASUREMENTS = {
  /** Returns the times of the first tokens, in ms. Each pair of a hit and a login is one round. */
  async hits(open, url, rounds) {
    let [token, next] = [await tokenOf(open)];
    // A call does not wait for the write to the store, so this waits until the store has the token.
    while (next !== token) {
      await delay(POLL_MS);
      [token, next] = [next, await tokenOf(open)];
    }
    const times = { hit: [], login: [] };
    for (let round = 0; round < rounds; round += 1) {
      times.hit.push(await timed(() => tokenOf(open)));
      times.login.push(await timed(() => makeOurs(url).getToken()));
    }
    return times;
  },

  /** Returns nothing: the endpoint counts the logins. */
  async callers(open, _url, count) {
    const manager = open();
    await Promise.all(Array.from({ length: count }, () => manager.getToken()));
    return null;
  },

  /** Returns the time of the first token in ms, at most `limitMs`. */
  first: (open, _url, limitMs) => timed(() => Promise.race([tokenOf(open), delay(limitMs)])),
};

module.exports = async ({ client, url, measurement, argument, ...settings }) => {
  const open = await openingOf(client, url, settings);
  return MEASUREMENTS[measurement](open, url, argument);
};
