'use strict';

const credentials = require('../credentials.js');
const { TokenCache } = require('./token-cache.js');

async function load() {
  const client = await import('openid-client');
  return (tokenEndpoint) => {
    const { clientId, clientSecret } = credentials;
    // What discovery gives, once; the endpoint of the bench has no metadata.
    const config = new client.Configuration(
      { issuer: new URL(tokenEndpoint).origin, token_endpoint: tokenEndpoint },
      clientId,
      clientSecret,
      client.ClientSecretPost(clientSecret),
    );
    if (tokenEndpoint.startsWith('http:')) client.allowInsecureRequests(config);
    return new TokenCache(async () => {
      const tokens = await client.clientCredentialsGrant(config);
      return { token: tokens.access_token, expiresIn: tokens.expiresIn() };
    });
  };
}

module.exports = { packageName: 'openid-client', load };
