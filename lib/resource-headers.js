'use strict';

/**
 * The key of the method that creates a `headers` method for a resource. It is internal to this
 * package.
 */
module.exports = Symbol.for('keycloak-token-manager.resource-headers');
