'use strict';

/** The method by which a manager takes a changed configuration, known to this package alone. */
module.exports = Symbol.for('keycloak-token-manager.reconfigure');
