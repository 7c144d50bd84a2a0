'use strict';

// Calls of an API with DPoP by openid-client, the rival that supports it.

const { clientId, clientSecret } = require('../credentials.js');
const { installRivals } = require('./index.js');

/** Returns a function that calls the API with a bound token and a new proof. */
async function makeDpopCall(tokenEndpoint, api) {
  await installRivals();
  const client = await import('openid-client');
  const config = new client.Configuration(
    { issuer: new URL(tokenEndpoint).origin, token_endpoint: tokenEndpoint },
    clientId,
    clientSecret,
    client.ClientSecretPost(clientSecret),
  );
  client.allowInsecureRequests(config);
  const DPoP = client.getDPoPHandle(config, await client.randomDPoPKeyPair('ES256'));
  const { access_token: token } = await client.clientCredentialsGrant(config, {}, { DPoP });
  const url = new URL(api);
  return () =>
    client.fetchProtectedResource(config, token, url, 'GET', undefined, undefined, { DPoP });
}

module.exports = { makeDpopCall };
