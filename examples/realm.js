'use strict';

// Starts the realm of the examples, in a real Keycloak or as the embedded endpoint.

const { startFakeTokenEndpoint } = require('../lib/testing');

const clientId = 'kagenti-api';
const clientSecret = 's3cr+t%/:x';

/** Starts the realm. Only an embedded realm has the member `endpoint`. */
async function startRealm({ embedded, log }) {
  if (embedded) {
    const clients = { [clientId]: clientSecret };
    const roles = ['kagenti-operator'];
    const endpoint = await startFakeTokenEndpoint({ realm: 'kagenti', clients, roles });
    const { tokenEndpoint, jwksUri: jwksUrl } = endpoint;
    const stop = () => endpoint.close();
    return { tokenEndpoint, jwksUrl, clientId, clientSecret, endpoint, stop };
  }
  // Only a real Keycloak needs this module, which requires Java.
  const { startKeycloak } = require('../tools/keycloak');
  const keycloak = await startKeycloak({ log });
  const { tokenEndpoint, realmUrl } = keycloak;
  const jwksUrl = `${realmUrl}/protocol/openid-connect/certs`;
  return { tokenEndpoint, jwksUrl, clientId, clientSecret, stop: () => keycloak.stop() };
}

module.exports = { clientSecret, startRealm };
