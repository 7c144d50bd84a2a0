'use strict';

// The two servers of the demo, with the same interface.

const { startFakeTokenEndpoint } = require('../../lib/testing');
const screen = require('./screen.js');

const CLIENT_ID = 'demo';
const SECRET = 's3cr+t%/:x';

async function startEmbedded() {
  const endpoint = await startFakeTokenEndpoint({
    realm: 'demo',
    clients: { [CLIENT_ID]: SECRET },
  });
  return {
    label: 'embedded endpoint',
    tokenEndpoint: endpoint.tokenEndpoint,
    clientId: CLIENT_ID,
    clientSecret: SECRET,
    endpoint,
    stop: () => endpoint.close(),
  };
}

async function startReal() {
  // Loaded only here, because it needs Java.
  const { startKeycloak } = require('../../tools/keycloak');
  const start = performance.now();
  const keycloak = await startKeycloak({ log: screen.say });
  screen.say(`ready after ${screen.seconds((performance.now() - start) / 1000)}`);
  return {
    label: 'Keycloak',
    tokenEndpoint: keycloak.tokenEndpoint,
    clientId: 'kagenti-api',
    clientSecret: SECRET,
    stop: () => keycloak.stop(),
  };
}

module.exports = { startEmbedded, startReal };
