'use strict';

// A replica that shares tokens through a store over HTTP. Arguments: the token endpoint, the URL of
// the store, the seconds to run, and the key of the store. Prints `ready` after its first token, and
// at the end the numbers of calls and failures, and the duration of the slowest call, in ms.

const { setTimeout: delay } = require('node:timers/promises');
const { open, tell, told } = require('./program.js');

const [, , , storeUrl, seconds, storeKey] = process.argv;

const send = async (method, key, body, query = '') => {
  const response = await fetch(`${storeUrl}/${key}${query}`, { method, body });
  const text = await response.text();
  return response.status === 200 ? text : undefined;
};
const store = {
  get: (key) => send('GET', key),
  set: (key, value, ttlMs) => send('PUT', key, value, `?ttl=${ttlMs}`),
  delete: (key) => send('DELETE', key),
};

async function main() {
  // The first request of a process loads undici, and blocks the event loop meanwhile.
  await store.get('warm-up');
  const manager = open({ store, storeKey });
  await manager.getToken();
  tell('ready');
  await told();
  const result = { calls: 0, failures: 0, slowestMs: 0 };
  const end = performance.now() + 1_000 * Number(seconds);
  while (performance.now() < end) {
    const start = performance.now();
    await manager.getToken().catch(() => {
      result.failures += 1;
    });
    result.slowestMs = Math.max(result.slowestMs, performance.now() - start);
    result.calls += 1;
    await delay(50);
  }
  tell(result);
  await manager.close();
}

main();
