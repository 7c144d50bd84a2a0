'use strict';

/**
 * Copies a resource, because the caller may modify the object later. A value that is no record is
 * returned as it is.
 *
 * @throws {KeycloakTokenError} `ERR_KEYCLOAK_CONFIG` if a getter of the resource throws
 */
function copyOf(resource) {
  if (typeof resource !== 'object' || resource === null || Array.isArray(resource)) return resource;
  try {
    return { ...resource };
  } catch (cause) {
    // The published package has this class only in its main module.
    const { KeycloakTokenError } = require('../index.js');
    const message = 'resource: a getter of the object threw an error';
    throw new KeycloakTokenError({ code: 'ERR_KEYCLOAK_CONFIG', message, retryable: false }, cause);
  }
}

module.exports = { copyOf };
