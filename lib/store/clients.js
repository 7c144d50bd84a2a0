/**
 * The clients of cache servers inside other packages' objects: redis, ioredis, iovalkey and memjs.
 * Each function does nothing for a client that lacks the member it needs.
 */
'use strict';

const ignore = () => {};

/** Returns the client of the server that a Keyv uses. */
function clientOf(keyv) {
  const store = keyv?.store ?? keyv?.opts?.store;
  return store?.client ?? store?.redis;
}

/** Whether a Keyv keeps its entries in a Map of this process. */
function isInMemory(keyv) {
  const stores = [keyv.store, keyv.opts?.store, keyv.store?.store];
  return stores.some((store) => Object.prototype.toString.call(store) === '[object Map]');
}

/**
 * Adds a listener of errors, without which an emitter throws. The manager reports that a store
 * fails.
 */
function ignoreErrors(emitter) {
  if (typeof emitter?.on !== 'function') return;
  // Several stores may use one client.
  if (!emitter.listeners?.('error').includes(ignore)) emitter.on('error', ignore);
}

/** Lets the process end although the client has a connection or is about to connect. */
function unrefClient(client) {
  if (typeof client?.unref === 'function') {
    client.unref();
    return;
  }
  if (typeof client?.on !== 'function') return;
  const unref = () => client.stream?.unref?.();
  unref();
  for (const event of ['connect', 'ready']) client.on(event, unref);
  client.on('reconnecting', () => client.reconnectTimeout?.unref?.());
}

/** Closes the connection and stops all attempts to connect. */
async function endClient(client) {
  const end = client?.destroy ?? client?.disconnect ?? client?.close;
  try {
    await end?.call(client);
  } catch {
    // The client was closed already.
  }
}

module.exports = { clientOf, endClient, ignoreErrors, isInMemory, unrefClient };
