'use strict';

/** The key of the method that applies a changed configuration. It is internal to this package. */
module.exports = Symbol.for('keycloak-token-manager.reconfigure');
