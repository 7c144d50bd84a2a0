/**
 * The object that a plugin receives: the methods of a manager, and a `close` that leaves the manager
 * open for the other plugins.
 */
'use strict';

const METHODS = [
  'getToken',
  'getAccessToken',
  'getTokenForStreaming',
  'invalidateToken',
  'clearCache',
  'fetch',
  'headers',
  'dpopProof',
  'snapshot',
  'withResource',
  'for',
  'onBehalfOf',
  'forgetSubject',
];

function serviceView(pluginId, manager) {
  const view = { pluginId };
  for (const name of METHODS) view[name] = manager[name];
  view.close = () => Promise.resolve();
  view[Symbol.asyncDispose] = view.close;
  return Object.freeze(view);
}

/**
 * Creates the service for optional credentials. An edit of the configuration may add its manager
 * later.
 */
function optionalService(pluginId, configured) {
  let view;
  return Object.freeze({
    get manager() {
      if (configured.view !== undefined) view ??= serviceView(pluginId, configured.view);
      return view;
    },
  });
}

/** Creates the service that provides several managers. */
function poolService(pluginId, pool) {
  return Object.freeze({
    pluginId,
    get: (name) => pool.get(pluginId, name),
    getFor: (options) => pool.getFor(pluginId, options),
    get size() {
      return pool.size;
    },
    close: (nameOrOptions) => pool.close(nameOrOptions),
  });
}

module.exports = { optionalService, poolService, serviceView };
