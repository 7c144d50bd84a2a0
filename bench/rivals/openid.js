'use strict';

// The configuration of openid-client, the rival of several scenarios.

const { clientId, clientSecret } = require('../credentials.js');

/**
 * Imports openid-client. Its configuration replaces discovery, which a client runs once, because
 * the endpoint of the bench has no metadata.
 */
async function configureOpenid(tokenEndpoint) {
  const client = await import('openid-client');
  const config = new client.Configuration(
    { issuer: new URL(tokenEndpoint).origin, token_endpoint: tokenEndpoint },
    clientId,
    clientSecret,
    client.ClientSecretPost(clientSecret),
  );
  if (tokenEndpoint.startsWith('http:')) client.allowInsecureRequests(config);
  return { client, config };
}

module.exports = { configureOpenid };
