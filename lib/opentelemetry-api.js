'use strict';

const { KeycloakTokenError } = require('./error.js');
const { loadPeer } = require('./optional-peer.js');

const MISSING =
  'needs the package @opentelemetry/api (1.3 or a newer 1.x version), which is not installed; add it ' +
  "to your application's dependencies";

/**
 * Returns the module `@opentelemetry/api`, which takes about 20 ms to load. `what` names the
 * feature that needs it.
 *
 * @throws {KeycloakTokenError} `ERR_KEYCLOAK_CONFIG` if the package is not installed
 */
function openTelemetryApi(what) {
  const { api, cause } = loadPeer();
  if (api !== undefined) return api;
  const message = `${what} ${MISSING}`;
  throw new KeycloakTokenError({ code: 'ERR_KEYCLOAK_CONFIG', message, retryable: false }, cause);
}

module.exports = { openTelemetryApi };
