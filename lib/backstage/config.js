/**
 * Reads the options of a manager from a Backstage configuration. It knows which options can stand
 * in YAML and of what type they are; what values they may have is for the manager to say. All
 * faults are named together, and none repeats a value: it might be a secret.
 */
'use strict';

const { KeycloakTokenError } = require('../../index.js');

const DEFAULT_CONFIG_KEY = 'boost.kagenti.auth';

// `${NAME}` in a configuration file always gives a string; Backstage's readers turn it into a
// number or a boolean.
const string = (section, key) => section.getOptionalString(key);
const number = (section, key) => section.getOptionalNumber(key);
const boolean = (section, key) => section.getOptionalBoolean(key);

const READERS = {
  tokenEndpoint: string,
  issuer: string,
  clientId: string,
  clientSecret: string,
  clientSecretFile: string,
  clientAuthentication: string,
  privateKey: string,
  privateKeyFile: string,
  keyId: string,
  signingAlgorithm: string,
  assertionAudience: string,
  clientCertificate: string,
  clientCertificateFile: string,
  clientKey: string,
  clientKeyFile: string,
  clientAssertionFile: string,
  clientAssertionType: string,
  scope: stringOrStrings,
  parameters,
  tokenExpiryBufferSeconds: number,
  requestTimeoutMs: number,
  backgroundRefresh: boolean,
  ca: string,
  caFile: string,
  skipTlsVerify: boolean,
  proxy: stringOrFalse,
  resource,
  name: string,
};
const RESOURCE_READERS = { baseUrl: string, userHeader: string };

/**
 * The options in the section `key`; `undefined` if there is no such section.
 *
 * @throws {KeycloakTokenError} `ERR_KEYCLOAK_CONFIG` for a section that is incomplete or wrong.
 */
function readKeycloakTokenManagerOptions(config, key = DEFAULT_CONFIG_KEY) {
  const faults = new Faults(key);
  const section = faults.attempt(() => config.getOptionalConfig(key));
  faults.raise();
  if (section === undefined) return undefined;
  const options = readAll(section, READERS, faults);
  const missing = missingIn(section);
  if (missing.length > 0) {
    const there = Object.keys(READERS).filter((name) => section.has(name));
    const found = there.length > 0 ? `there is ${list(there)}` : 'it is empty';
    faults.add(`incomplete: ${found}, but ${list(missing)} is missing`);
  }
  faults.raise();
  return options;
}

// What is missing, by the option that most people give, unless one in its place is there.
const NEEDED = {
  tokenEndpoint: ['tokenEndpoint', 'issuer'],
  clientId: ['clientId'],
  clientSecret: [
    ...['clientSecret', 'clientSecretFile', 'privateKey', 'privateKeyFile'],
    ...['clientCertificate', 'clientCertificateFile', 'clientAssertionFile'],
  ],
};

function missingIn(section) {
  return Object.entries(NEEDED)
    .filter(([, names]) => !names.some((name) => section.has(name)))
    .map(([name, [, ...others]]) => name + (others.length > 0 ? ` (or ${others[0]})` : ''));
}

/** The members of a section that are there, by their readers. */
function readAll(section, readers, faults) {
  const options = {};
  for (const name of section.keys()) {
    if (!Object.hasOwn(readers, name)) {
      faults.add(`unknown key ${JSON.stringify(name)}, known are ${list(Object.keys(readers))}`);
      continue;
    }
    const value = faults.attempt(() => readers[name](section, name, faults));
    if (value !== undefined) options[name] = value;
  }
  return options;
}

function stringOrFalse(section, key) {
  const value = section.getOptional(key);
  // `${NAME}` gives a string, and no proxy is called "false".
  return value === false || value === 'false' ? false : section.getOptionalString(key);
}

function stringOrStrings(section, key) {
  const isList = Array.isArray(section.getOptional(key));
  return isList ? section.getOptionalStringArray(key) : section.getOptionalString(key);
}

// Read as a whole: names of form fields, such as URNs, need not be configuration keys.
function parameters(section, key, faults) {
  const fields = section.getOptionalConfig(key)?.get() ?? {};
  for (const [name, value] of Object.entries(fields)) {
    if (typeof value === 'string') continue;
    faults.add(`${key}: ${JSON.stringify(name)} must be a string: put it in quotes`);
  }
  return fields;
}

function resource(section, key, faults) {
  const inner = section.getOptionalConfig(key);
  if (inner === undefined) return undefined;
  if (!inner.has('baseUrl')) faults.add(`${key}: baseUrl is missing`);
  return readAll(inner, RESOURCE_READERS, faults);
}

/** What is wrong with a section, reported together. */
class Faults {
  #key;
  #texts = [];

  constructor(key) {
    this.#key = key;
  }

  add(text) {
    this.#texts.push(text);
  }

  /** Runs one of Backstage's readers: their errors name the key, the file and the type. */
  attempt(read) {
    try {
      return read();
    } catch (error) {
      this.add(error.message);
      return undefined;
    }
  }

  raise() {
    if (this.#texts.length > 0) throw configError(this.#key, this.#texts.join('; '));
  }
}

function configError(key, text) {
  return invalid(`configuration "${key}": ${text}`);
}

function invalid(message) {
  return new KeycloakTokenError({ code: 'ERR_KEYCLOAK_CONFIG', message, retryable: false });
}

function list(names) {
  const last = names.at(-1);
  return names.length < 2 ? last : `${names.slice(0, -1).join(', ')} and ${last}`;
}

module.exports = { DEFAULT_CONFIG_KEY, configError, invalid, readKeycloakTokenManagerOptions };
