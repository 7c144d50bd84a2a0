/**
 * Derives managers from a manager of the registry or of a pool. The registry and the pool may
 * replace that manager while it is in use. This module then derives the managers again from the
 * replacement.
 */
'use strict';

const { copyOf } = require('../resource-copy.js');

/** The methods that derive a manager from another one. */
const DERIVING = ['withResource', 'for', 'onBehalfOf'];

/**
 * Returns a function that derives a manager from the manager that `targetOf` returns. The function
 * returns the same derived manager as long as `targetOf` returns the same manager.
 *
 * @param {(source: object) => object} targetOf
 * @param {'withResource' | 'for' | 'onBehalfOf'} name
 * @param {unknown[]} given the arguments of the method
 */
function derivation(targetOf, name, given) {
  const args = given.map((value) =>
    copyOf(value, name === 'withResource' ? 'resource' : 'request'),
  );
  let target;
  let derived;
  return (source) => {
    const found = targetOf(source);
    if (found !== target) {
      derived = found[name](...args);
      target = found;
    }
    return derived;
  };
}

module.exports = { DERIVING, derivation };
