'use strict';

const native = require('../../lib/native.js');

/** Records the calls to native methods, and to `hold`, from now on, in order. */
function nativeCalls(t) {
  const calls = [];
  const { hold } = native;
  t.mock.method(native, 'hold', (holds) => {
    calls.push('hold');
    return hold(holds);
  });
  const { prototype } = native.Core;
  for (const name of Object.getOwnPropertyNames(prototype)) {
    const { value: method } = Object.getOwnPropertyDescriptor(prototype, name);
    if (name === 'constructor' || typeof method !== 'function') continue;
    t.mock.method(prototype, name, function call(...args) {
      calls.push(name);
      return method.apply(this, args);
    });
  }
  return calls;
}

module.exports = { nativeCalls };
