'use strict';

/** The errors that `instanceof KeycloakTokenError` recognises. */

const assert = require('node:assert/strict');
const { describe, test } = require('node:test');
const { KeycloakTokenError, KeycloakTokenManager } = require('..');

describe('instanceof KeycloakTokenError', () => {
  /** Returns the class from a second copy of the module. */
  const copy = () => {
    const id = require.resolve('../lib/error.js');
    const cached = require.cache[id];
    delete require.cache[id];
    const { KeycloakTokenError: Other } = require('../lib/error.js');
    require.cache[id] = cached;
    return Other;
  };
  const failure = { code: 'ERR_KEYCLOAK_CONFIG', message: 'a', retryable: false };

  test('recognises the errors of every copy of the package', () => {
    const Other = copy();
    assert.notEqual(Other, KeycloakTokenError);
    assert.ok(new Other(failure) instanceof KeycloakTokenError);
    assert.ok(new KeycloakTokenError(failure) instanceof Other);
    assert.throws(() => new KeycloakTokenManager({}), Other);
  });

  test('recognises no other value; a subclass recognises only its own instances', () => {
    class Special extends KeycloakTokenError {}
    assert.ok(new Special(failure) instanceof Special);
    assert.ok(new Special(failure) instanceof KeycloakTokenError);
    assert.ok(!(new KeycloakTokenError(failure) instanceof Special));
    for (const value of [undefined, null, 'a', 7, {}, new Error('a'), Object.create(null)]) {
      assert.ok(!(value instanceof KeycloakTokenError), `${typeof value}`);
    }
  });
});
