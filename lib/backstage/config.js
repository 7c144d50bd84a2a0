/**
 * Reads the options of a manager from a Backstage configuration. The configuration schema defines
 * the options of a section and their types; the manager checks the values. One error reports all
 * faults, and never repeats a value, because a value might be a secret. Empty strings, as
 * `${NAME:-}` may yield, count as absent.
 */
'use strict';

const { KeycloakTokenError } = require('../../index.js');
const configSchema = require('../../config.schema.json');
const { isPlain } = require('./fingerprint.js');

const DEFAULT_CONFIG_KEY = 'boost.kagenti.auth';
const SECTION = DEFAULT_CONFIG_KEY.split('.').reduce((at, key) => at.properties[key], configSchema);

/** The options that a manager requires, each with the alternatives that may replace it. */
const NEEDED = {
  tokenEndpoint: ['tokenEndpoint', 'issuer'],
  clientId: ['clientId'],
  clientSecret: [
    'clientSecret',
    'clientSecretFile',
    'privateKey',
    'privateKeyFile',
    'clientCertificate',
    'clientCertificateFile',
    'clientAssertionFile',
  ],
};

/** The errors that report only missing required options. */
const incomplete = new WeakSet();

/**
 * Returns the options in the section `key`; `undefined` if the configuration has no such section, or
 * if every key in it is empty. `openStore` returns the store of a section with `sharedCache: true`.
 *
 * @throws {KeycloakTokenError} `ERR_KEYCLOAK_CONFIG` for an incomplete or invalid section.
 */
function readKeycloakTokenManagerOptions(
  config,
  key = DEFAULT_CONFIG_KEY,
  { knownKeys = [], openStore = sharedStore } = {},
) {
  const faults = new Faults(key);
  const section = faults.attempt(() => config.getOptionalConfig(key));
  faults.raise();
  const names = section === undefined ? [] : presentIn(section, knownKeys);
  if (names.length === 0) return undefined;
  const { sharedCache, ...options } = readAll(section, names, SECTION, faults);
  const missing = missingIn(names);
  if (missing !== undefined && faults.isEmpty) throw incompleteError(atKey(key), missing);
  if (missing !== undefined) faults.add(missing);
  faults.raise();
  const store = sharedCache ? faults.attempt(() => openStore(config)) : undefined;
  faults.raise();
  return store === undefined ? options : { ...options, store };
}

/** Returns the store that all managers of this backend share. */
function sharedStore(config) {
  return require('./registry.js').registry().sharedStore(config);
}

/**
 * Returns the keys of a section that have a value, except for keys that belong to other code. Reads
 * the section as a whole, because Backstage's reader rejects some unknown keys and interprets
 * others as paths to nested keys.
 */
function presentIn(section, knownKeys) {
  return Object.entries(section.get())
    .filter(([name, value]) => !knownKeys.includes(name) && withoutEmpty(value) !== undefined)
    .map(([name]) => name);
}

/** Describes the required options that are missing from `names`; `undefined` if none is missing. */
function missingIn(names) {
  const missing = Object.entries(NEEDED)
    .filter(([, alternatives]) => !alternatives.some((name) => names.includes(name)))
    .map(([name, [, ...others]]) => name + (others.length > 0 ? ` (or ${others[0]})` : ''));
  if (missing.length === 0) return undefined;
  const there = Object.keys(SECTION.properties).filter((name) => names.includes(name));
  return whatIsMissing(there, missing);
}

function whatIsMissing(there, missing) {
  const found = there.length === 0 ? '' : `the section has ${list(there)}, but `;
  return `incomplete: ${found}${list(missing)} ${missing.length > 1 ? 'are' : 'is'} missing`;
}

/** Reads the members with these names, according to their schema. */
function readAll(section, names, { properties }, faults) {
  const options = {};
  for (const name of names) {
    if (!Object.hasOwn(properties, name)) {
      const known = list(Object.keys(properties));
      faults.add(`unknown key ${JSON.stringify(name)}; the known keys are ${known}`);
      continue;
    }
    const value = faults.attempt(() => read(section, name, properties[name], faults));
    if (value !== undefined) options[name] = value;
  }
  return options;
}

// `${NAME}` in a configuration file always yields a string; Backstage's readers convert it to a
// number or a boolean.
function read(section, key, alternatives, faults) {
  const schema = alternatives.anyOf
    ? branchFor(section.getOptional(key), alternatives)
    : alternatives;
  switch (schema.type) {
    case 'integer':
      return section.getOptionalNumber(key);
    case 'boolean':
      return schema.const ?? section.getOptionalBoolean(key);
    case 'array':
      return readList(section, key);
    case 'object':
      return readObject(section, key, schema, faults);
    default:
      return section.getOptionalString(key);
  }
}

/**
 * Returns the schema's alternative that the value matches. If none matches, returns the first
 * alternative, which describes a string.
 */
function branchFor(value, { anyOf }) {
  const fits = ({ type, const: constant }) =>
    type === 'array'
      ? Array.isArray(value)
      : constant !== undefined && [constant, `${constant}`].includes(value);
  return anyOf.find(fits) ?? anyOf[0];
}

// Backstage's reader rejects a list that contains an empty string.
function readList(section, key) {
  const items = withoutEmpty(section.getOptional(key));
  const areTexts = items.every((item) => typeof item === 'string');
  return areTexts ? items : section.getOptionalStringArray(key);
}

function readObject(section, key, schema, faults) {
  const inner = section.getOptionalConfig(key);
  if (schema.properties === undefined) return readStrings(inner, key, faults);
  const names = presentIn(inner, []);
  for (const name of schema.required.filter((required) => !names.includes(required))) {
    faults.add(`${key}: ${name} is missing`);
  }
  return readAll(inner, names, schema, faults);
}

// Reads the record as a whole, because the names of form fields may not be valid configuration
// keys, for example if they are URNs.
function readStrings(inner, key, faults) {
  const fields = withoutEmpty(inner.get());
  for (const [name, value] of Object.entries(fields)) {
    if (typeof value === 'string') continue;
    faults.add(
      `${key}: ${JSON.stringify(name)} must be a string; put the value in quotation marks`,
    );
  }
  return fields;
}

/**
 * Returns the value without empty strings, and without lists and objects that contain only empty
 * strings; `undefined` if nothing is left.
 */
function withoutEmpty(value) {
  if (value === '' || value === null) return undefined;
  if (Array.isArray(value)) {
    const items = value.map(withoutEmpty).filter((item) => item !== undefined);
    return items.length === 0 && value.length > 0 ? undefined : items;
  }
  if (!isPlain(value)) return value;
  const members = Object.entries(value).map(([name, member]) => [name, withoutEmpty(member)]);
  const present = members.filter(([, member]) => member !== undefined);
  return present.length === 0 && members.length > 0 ? undefined : Object.fromEntries(present);
}

/** Collects the faults of a section, so that one error reports them all. */
class Faults {
  #key;
  #texts = [];

  constructor(key) {
    this.#key = key;
  }

  get isEmpty() {
    return this.#texts.length === 0;
  }

  add(text) {
    this.#texts.push(text);
  }

  /** Runs one of Backstage's readers, whose errors name the key, the file and the type. */
  attempt(read) {
    try {
      return read();
    } catch (error) {
      this.add(error.message);
      return undefined;
    }
  }

  raise() {
    if (!this.isEmpty) throw configError(this.#key, this.#texts.join('; '));
  }
}

const atKey = (key) => `configuration "${key}"`;

function configError(key, text) {
  return invalid(`${atKey(key)}: ${text}`);
}

/** Returns the error for a section or a reader's result that lacks required options. */
function incompleteError(where, text) {
  const error = invalid(`${where}: ${text}`);
  incomplete.add(error);
  return error;
}

const isIncomplete = (error) => incomplete.has(error);

function invalid(message, cause) {
  const failure = { code: 'ERR_KEYCLOAK_CONFIG', message, retryable: false };
  return new KeycloakTokenError(failure, cause);
}

function list(names) {
  const last = names.at(-1);
  return names.length < 2 ? last : `${names.slice(0, -1).join(', ')} and ${last}`;
}

module.exports = {
  DEFAULT_CONFIG_KEY,
  atKey,
  configError,
  incompleteError,
  invalid,
  isIncomplete,
  list,
  missingIn,
  presentIn,
  readList,
  readKeycloakTokenManagerOptions,
  sharedStore,
  whatIsMissing,
  withoutEmpty,
};
