/**
 * The sources of a service's options: a section of the configuration, or a function that the plugin
 * passes. A source has four members: `where` starts its error messages; `read(config)` returns the
 * options, or `undefined` if the configuration contains no credentials; `missing()` returns the
 * error for that case; and `used(config)` names the keys from which the options come.
 */
'use strict';

const {
  atKey,
  configError,
  incompleteError,
  invalid,
  list,
  missingIn,
  presentIn,
  readKeycloakTokenManagerOptions,
  withoutEmpty,
} = require('./config.js');

const NEEDED = 'set tokenEndpoint (or issuer), clientId and clientSecret (or clientSecretFile)';

function sectionSource(key, knownKeys) {
  return {
    where: atKey(key),
    read: (config) => readKeycloakTokenManagerOptions(config, key, { knownKeys }),
    missing: () => configError(key, `the section is missing or empty; ${NEEDED}`),
    used(config) {
      return `${atKey(key)} (${list(presentIn(config.getConfig(key), knownKeys ?? []))})`;
    },
  };
}

function functionSource(id, read) {
  const where = `service "${id}"`;
  let keys;
  return {
    where,
    read(config) {
      keys = new Set();
      const options = callRead(read, recorded(config, keys), where);
      if (options === undefined) return undefined;
      if (typeof options !== 'object' || typeof options.then === 'function') {
        throw invalid(`${where}: read must return an object or undefined, not a promise`);
      }
      const names = Object.keys(options);
      if (names.length === 0) return undefined;
      const missing = missingIn(names);
      if (missing !== undefined) throw incompleteError(where, missing);
      return options;
    },
    missing() {
      const asked = keys.size > 0 ? `; read looked up ${list([...keys])}` : '';
      return invalid(`${where}: the configuration contains no credentials${asked}`);
    },
    used(config) {
      const found = present(config, [...keys]);
      return `the configuration${found.length > 0 ? ` (${list(found)})` : ''}`;
    },
  };
}

/** Returns the keys that have a value. */
const present = (config, keys) =>
  keys.filter((key) => withoutEmpty(config.getOptional(key)) !== undefined);

function callRead(read, config, where) {
  try {
    return withoutEmpty(read(config));
  } catch (error) {
    // This package's error messages already name the key.
    if (error?.code?.startsWith?.('ERR_KEYCLOAK_')) throw error;
    throw invalid(`${where}: ${error?.message}`, error);
  }
}

/** Wraps the configuration. The wrapper records in `keys` each key that the reader looks up. */
function recorded(config, keys) {
  return new Proxy(config, {
    get(target, name) {
      const member = target[name];
      if (typeof member !== 'function') return member;
      return (key, ...others) => {
        if (typeof key === 'string') keys.add(key);
        return member.call(target, key, ...others);
      };
    },
  });
}

module.exports = { functionSource, sectionSource };
