/**
 * Reads the options of a manager from a Backstage configuration. The configuration schema defines
 * the options of a section and their types; the manager checks the values. The error reports all
 * faults together, and no fault repeats a value, which might be a secret.
 */
'use strict';

const { KeycloakTokenError } = require('../../index.js');
const configSchema = require('../../config.schema.json');

const DEFAULT_CONFIG_KEY = 'boost.kagenti.auth';
const SECTION = DEFAULT_CONFIG_KEY.split('.').reduce((at, key) => at.properties[key], configSchema);

/**
 * Returns the options in the section `key`; `undefined` if the configuration has no such section.
 *
 * @throws {KeycloakTokenError} `ERR_KEYCLOAK_CONFIG` for a section that is incomplete or wrong.
 */
function readKeycloakTokenManagerOptions(config, key = DEFAULT_CONFIG_KEY) {
  const faults = new Faults(key);
  const section = faults.attempt(() => config.getOptionalConfig(key));
  faults.raise();
  if (section === undefined) return undefined;
  const options = readAll(section, SECTION, faults);
  const missing = missingIn(section);
  if (missing.length > 0) {
    const there = Object.keys(SECTION.properties).filter((name) => section.has(name));
    const found = there.length > 0 ? `the section has ${list(there)}` : 'the section is empty';
    faults.add(`incomplete: ${found}, but ${list(missing)} is missing`);
  }
  faults.raise();
  return options;
}

// The required options of a section, each with the alternatives that may replace it.
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

function missingIn(section) {
  return Object.entries(NEEDED)
    .filter(([, names]) => !names.some((name) => section.has(name)))
    .map(([name, [, ...others]]) => name + (others.length > 0 ? ` (or ${others[0]})` : ''));
}

/** Reads the members that a section has, according to their schema. */
function readAll(section, { properties }, faults) {
  const options = {};
  for (const name of section.keys()) {
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
      return section.getOptionalStringArray(key);
    case 'object':
      return readObject(section, key, schema, faults);
    default:
      return section.getOptionalString(key);
  }
}

/** Returns the alternative that a value matches, or else the first one, which is a string. */
function branchFor(value, { anyOf }) {
  const fits = ({ type, const: constant }) =>
    type === 'array'
      ? Array.isArray(value)
      : constant !== undefined && [constant, `${constant}`].includes(value);
  return anyOf.find(fits) ?? anyOf[0];
}

function readObject(section, key, schema, faults) {
  const inner = section.getOptionalConfig(key);
  if (inner === undefined) return undefined;
  if (schema.properties === undefined) return readStrings(inner, key, faults);
  for (const name of schema.required) {
    if (!inner.has(name)) faults.add(`${key}: ${name} is missing`);
  }
  return readAll(inner, schema, faults);
}

// Reads the record as a whole, because names of form fields, such as URNs, need not be valid
// configuration keys.
function readStrings(inner, key, faults) {
  const fields = inner.get();
  for (const [name, value] of Object.entries(fields)) {
    if (typeof value === 'string') continue;
    faults.add(`${key}: ${JSON.stringify(name)} must be a string: put it in quotes`);
  }
  return fields;
}

/** The faults of a section, which one error reports together. */
class Faults {
  #key;
  #texts = [];

  constructor(key) {
    this.#key = key;
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
