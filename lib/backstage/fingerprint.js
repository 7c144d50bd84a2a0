/**
 * Compares options without keeping them, because they contain secrets. Compares plain data by
 * value, because reading a configuration twice never returns the same object. A function or any
 * other object is equal only to itself.
 */
'use strict';

const { createHmac, randomBytes } = require('node:crypto');

/** Creates a function that returns equal strings for equal options. */
function fingerprints() {
  const key = randomBytes(32);
  const numbers = new WeakMap();
  const identity = (value) => {
    if (!numbers.has(value)) numbers.set(value, randomBytes(16).toString('hex'));
    return ['identity', numbers.get(value)];
  };
  // A value that contains itself is equal only to itself.
  const form = (value, outer = []) => {
    if (outer.includes(value)) return identity(value);
    const inside = [...outer, value];
    if (Array.isArray(value)) return ['list', ...value.map((item) => form(item, inside))];
    if (isPlain(value)) {
      const members = Object.entries(value).filter(([, member]) => member !== undefined);
      const sorted = members.sort(([first], [second]) => (first < second ? -1 : 1));
      return ['record', ...sorted.map(([name, member]) => [name, form(member, inside)])];
    }
    const isData = value === null || !['object', 'function', 'symbol'].includes(typeof value);
    return isData ? [typeof value, String(value)] : identity(value);
  };
  return (options) =>
    createHmac('sha256', key)
      .update(JSON.stringify(form(options)))
      .digest('base64');
}

/**
 * Whether the value is a plain object. The function does not compare the prototype with
 * `Object.prototype`, because under Jest the object may come from another JavaScript realm.
 */
function isPlain(value) {
  if (typeof value !== 'object' || value === null) return false;
  const prototype = Object.getPrototypeOf(value);
  return prototype === null || Object.getPrototypeOf(prototype) === null;
}

module.exports = { fingerprints, isPlain };
