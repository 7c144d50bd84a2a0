'use strict';

// Implements the part of Backstage's `Config` that the section reader uses, for plain data on
// machines without Backstage's own configuration loader.

class PlainConfig {
  #data;
  #prefix;

  constructor(data, prefix = '') {
    this.#data = data;
    this.#prefix = prefix;
  }

  keys() {
    return Object.keys(this.#data);
  }

  get() {
    return this.#data;
  }

  getOptional(key) {
    return key.split('.').reduce((at, name) => (isObject(at) ? at[name] : undefined), this.#data);
  }

  getOptionalConfig(key) {
    const value = this.#read(key, 'an object', (found) => (isObject(found) ? found : undefined));
    return value === undefined ? undefined : new PlainConfig(value, `${this.#prefix}${key}.`);
  }

  getOptionalString(key) {
    return this.#read(key, 'a non-empty string', (found) =>
      typeof found === 'string' && found !== '' ? found : undefined,
    );
  }

  getOptionalNumber(key) {
    return this.#read(key, 'a number', (found) => {
      const number = typeof found === 'string' && found.trim() !== '' ? Number(found) : found;
      return typeof number === 'number' && !Number.isNaN(number) ? number : undefined;
    });
  }

  getOptionalBoolean(key) {
    return this.#read(key, 'true or false', (found) =>
      ['true', 'false'].includes(`${found}`.toLowerCase())
        ? `${found}`.toLowerCase() === 'true'
        : undefined,
    );
  }

  getOptionalStringArray(key) {
    const isText = (item) => typeof item === 'string' && item !== '';
    return this.#read(key, 'a list of non-empty strings', (found) =>
      Array.isArray(found) && found.every(isText) ? found : undefined,
    );
  }

  #read(key, expected, convert) {
    const found = this.getOptional(key);
    if (found === undefined || found === null) return undefined;
    const value = convert(found);
    if (value === undefined) throw new Error(`${this.#prefix}${key}: expected ${expected}`);
    return value;
  }
}

function isObject(value) {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

module.exports = { PlainConfig, isObject };
