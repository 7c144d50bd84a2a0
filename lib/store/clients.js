/**
 * Handles the cache server clients (redis, ioredis, iovalkey and memjs) inside the objects of other
 * packages. Each function ignores a client that lacks the member that the function needs.
 */
'use strict';

const ignore = () => {};

/**
 * Prevents errors of a Keyv and its adapter from ending the process. Returns the adapter's client.
 */
function tameKeyv(keyv) {
  const store = adapterOf(keyv);
  const client = store?.client ?? store?.redis;
  // Without a listener, the client of @keyv/redis 4.6.0 also never reconnects after an error.
  for (const emitter of [keyv, store, client]) ignoreErrors(emitter);
  // The adapter of memjs parses an entry in a callback, where a corrupted entry would cause an
  // uncaught exception. This function makes the adapter return the text, so that Keyv parses the
  // entry.
  if (Array.isArray(client?.servers) && store.opts) store.opts.deserialize ??= String;
  return client;
}

/**
 * Returns the result of `open`, which creates another, hidden Keyv for the same adapter. In older
 * Backstage releases, this Keyv emits the errors of the adapter, and an error without a listener
 * ends the process. This function therefore removes the Keyv's listeners from the adapter.
 */
function openQuietly(keyv, open) {
  const store = adapterOf(keyv);
  const listeners = () => [...(store?.listeners?.('error') ?? [])];
  const before = listeners();
  const opened = open();
  for (const added of listeners().filter((listener) => !before.includes(listener))) {
    store.off('error', added);
  }
  return opened;
}

const adapterOf = (keyv) => keyv?.store ?? keyv?.opts?.store;

/** Whether a Keyv keeps its entries in a Map of this process. */
function isInMemory(keyv) {
  const stores = [keyv.store, keyv.opts?.store, keyv.store?.store];
  return stores.some((store) => Object.prototype.toString.call(store) === '[object Map]');
}

/**
 * Adds a listener for errors, because an emitter without such a listener throws. The manager itself
 * reports store failures.
 */
function ignoreErrors(emitter) {
  if (typeof emitter?.on !== 'function') return;
  // Several stores may use one client.
  if (!emitter.listeners?.('error').includes(ignore)) emitter.on('error', ignore);
}

/** Lets the process end even if the client has a connection or is about to connect. */
function unrefClient(client) {
  if (typeof client?.unref === 'function') {
    client.unref();
    return;
  }
  for (const server of client?.servers ?? []) unrefMemcached(server);
  if (typeof client?.on !== 'function') return;
  const unref = () => client.stream?.unref?.();
  unref();
  for (const event of ['connect', 'ready']) client.on(event, unref);
  client.on('reconnecting', () => client.reconnectTimeout?.unref?.());
}

/**
 * Lets the process end even if memjs has a socket. memjs connects to a server when a call needs it.
 */
function unrefMemcached(server) {
  const { sock } = server;
  server.sock = (...args) => {
    sock.apply(server, args);
    server._socket?.unref?.();
  };
}

/** Closes the connection and stops all attempts to connect. */
async function endClient(client) {
  const end = client?.destroy ?? client?.disconnect ?? client?.close;
  try {
    await end?.call(client);
  } catch {
    // The client is already closed.
  }
}

module.exports = { endClient, ignoreErrors, isInMemory, openQuietly, tameKeyv, unrefClient };
