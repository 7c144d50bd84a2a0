'use strict';

/** The key of the method that creates a `headers` for a resource. Internal to this package. */
module.exports = Symbol.for('keycloak-token-manager.resource-headers');
