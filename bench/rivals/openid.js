'use strict';

// The configuration of openid-client, the rival of several scenarios.

const { clientId, clientSecret } = require('../credentials.js');

/**
 * Imports openid-client. Returns the client, and a function that creates its configuration. The
 * configuration replaces discovery, which a client runs once, because the bench's endpoint has no
 * metadata.
 */
async function loadOpenid() {
  const client = await import('openid-client');
  return { client, configure: (tokenEndpoint) => configure(client, tokenEndpoint) };
}

function configure(client, tokenEndpoint) {
  const config = new client.Configuration(
    { issuer: new URL(tokenEndpoint).origin, token_endpoint: tokenEndpoint },
    clientId,
    clientSecret,
    client.ClientSecretPost(clientSecret),
  );
  if (tokenEndpoint.startsWith('http:')) client.allowInsecureRequests(config);
  return config;
}

module.exports = { loadOpenid };
