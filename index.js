'use strict';

const { KeycloakTokenError } = require('./lib/error.js');
const { KeycloakTokenManager } = require('./lib/manager.js');

module.exports = { KeycloakTokenManager, KeycloakTokenError };
