'use strict';

// The two servers of the demo, with the same interface.

const { startFakeTokenEndpoint } = require('../../lib/testing');
const screen = require('./screen.js');

const clientSecret = 's3cr+t%/:x';

async function startEmbedded() {
  const clientId = 'demo';
  const clients = { [clientId]: clientSecret };
  const endpoint = await startFakeTokenEndpoint({ realm: 'demo', clients });
  const { tokenEndpoint } = endpoint;
  return { tokenEndpoint, clientId, clientSecret, endpoint, stop: () => endpoint.close() };
}

async function startReal() {
  // Loaded only here, because it needs Java.
  const { startKeycloak } = require('../../tools/keycloak');
  const keycloak = await startKeycloak({ log: screen.say });
  const { tokenEndpoint } = keycloak;
  return { tokenEndpoint, clientId: 'kagenti-api', clientSecret, stop: () => keycloak.stop() };
}

module.exports = { startEmbedded, startReal };
