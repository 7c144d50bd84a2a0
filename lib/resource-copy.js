'use strict';

/**
 * Copies a resource or a request, because the caller may modify the object later. Returns any other
 * value unchanged.
 *
 * @throws {KeycloakTokenError} `ERR_KEYCLOAK_CONFIG` if a getter of the object throws
 */
function copyOf(value, name = 'resource') {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return value;
  try {
    return { ...value };
  } catch (cause) {
    // The published package has this class only in its main module.
    const { KeycloakTokenError } = require('../index.js');
    const message = `${name}: the manager cannot read a property; see cause`;
    throw new KeycloakTokenError({ code: 'ERR_KEYCLOAK_CONFIG', message, retryable: false }, cause);
  }
}

module.exports = { copyOf };
