/**
 * The manager that all plugins of a backend share. Its options follow the configuration, and it
 * closes with the backend. Plugins receive views of the manager, because no plugin may close it for
 * the others.
 */
'use strict';

const { createHmac, randomBytes } = require('node:crypto');

const { KeycloakTokenManager } = require('../../index.js');
const reconfigure = require('../reconfigure.js');
const { configError, readKeycloakTokenManagerOptions } = require('./config.js');

const SHARED_METHODS = [
  'getToken',
  'getAccessToken',
  'getTokenForStreaming',
  'invalidateToken',
  'clearCache',
  'fetch',
  'headers',
  'dpopProof',
  'snapshot',
];

function openSharedManager({ key, config, logger, lifecycle, tokenFetch }) {
  const print = fingerprints();
  const inCode = tokenFetch === undefined ? {} : { tokenFetch };
  const readAll = () => ({ ...read(config, key), ...inCode });
  const manager = atKey(key, () => new KeycloakTokenManager({ ...readAll(), logger }));
  let inUse = print(readAll());
  // A configuration may lack `subscribe`.
  const subscription = config.subscribe?.(() => {
    try {
      const changed = readAll();
      const printed = print(changed);
      // Most edits concern other sections, and applying an edit would end a cool-down.
      if (printed === inUse) return;
      atKey(key, () => manager[reconfigure]({ ...changed, logger }));
      inUse = printed;
    } catch (error) {
      logger.error(`the manager ignores the change: ${error.message}`);
      return;
    }
    logger.info(`the manager uses the changed configuration "${key}"`);
  });
  lifecycle.addShutdownHook(() => {
    subscription?.unsubscribe();
    return manager.close();
  });
  return manager;
}

/**
 * Compares options without keeping them, because they contain a secret. A function is equal only to
 * itself.
 */
function fingerprints() {
  const key = randomBytes(32);
  const numbers = new WeakMap();
  const numbered = (_name, value) => {
    if (typeof value !== 'function') return value;
    if (!numbers.has(value)) numbers.set(value, randomBytes(16).toString('hex'));
    return numbers.get(value);
  };
  return (options) =>
    createHmac('sha256', key).update(JSON.stringify(options, numbered)).digest('base64');
}

/**
 * Returns a plugin's view: the manager's methods, and a `close` that leaves the manager open for
 * the other plugins.
 */
function viewFor(pluginId, manager) {
  const view = { pluginId };
  for (const name of SHARED_METHODS) view[name] = manager[name].bind(manager);
  view.close = () => Promise.resolve();
  view[Symbol.asyncDispose] = view.close;
  return Object.freeze(view);
}

function read(config, key) {
  const options = readKeycloakTokenManagerOptions(config, key);
  if (options !== undefined) return options;
  throw configError(
    key,
    'the section is missing; it needs tokenEndpoint, clientId and ' +
      'clientSecret (or clientSecretFile)',
  );
}

/** Adds the key of the section to an error of the manager, which names only the option. */
function atKey(key, action) {
  try {
    return action();
  } catch (error) {
    throw error.code === 'ERR_KEYCLOAK_CONFIG' ? configError(key, error.message) : error;
  }
}

module.exports = { openSharedManager, viewFor };
