'use strict';

/** The key of the method that adds a listener for telemetry. It is internal to this package. */
module.exports = Symbol.for('keycloak-token-manager.observe');
