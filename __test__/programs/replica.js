'use strict';

/**
 * A replica that shares tokens through a store over HTTP. Arguments: the token endpoint, the URL of
 * the store, the seconds to run, and the key of the store. Prints the numbers of calls and failures,
 * and the duration of the slowest call after the first, in ms.
 */

const { KeycloakTokenManager } = require('../..');
const { setTimeout: delay } = require('node:timers/promises');

const [, , tokenEndpoint, storeUrl, seconds, storeKey] = process.argv;

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
  const manager = new KeycloakTokenManager({
    tokenEndpoint,
    clientId: 'test-client',
    clientSecret: 'test-secret',
    store,
    storeKey,
  });
  const result = { calls: 0, failures: 0, slowestMs: 0 };
  const end = performance.now() + 1_000 * Number(seconds);
  do {
    const start = performance.now();
    try {
      await manager.getToken();
    } catch {
      result.failures += 1;
    }
    const duration = performance.now() - start;
    if (result.calls > 0) result.slowestMs = Math.max(result.slowestMs, duration);
    result.calls += 1;
    await delay(50);
  } while (performance.now() < end);
  console.log(JSON.stringify({ ...result, ...manager.snapshot().counters }));
  await manager.close();
}

main();
