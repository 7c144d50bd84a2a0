'use strict';

// Calls to an API with DPoP through openid-client, the rival that supports DPoP.

const { installRivals } = require('./index.js');
const { loadOpenid } = require('./openid.js');

/** Returns a function that calls the API with a bound token and a new proof. */
async function makeDpopCall(tokenEndpoint, api) {
  await installRivals();
  const { client, configure } = await loadOpenid();
  const config = configure(tokenEndpoint);
  const DPoP = client.getDPoPHandle(config, await client.randomDPoPKeyPair('ES256'));
  const { access_token: token } = await client.clientCredentialsGrant(config, {}, { DPoP });
  const url = new URL(api);
  return () =>
    client.fetchProtectedResource(config, token, url, 'GET', undefined, undefined, { DPoP });
}

module.exports = { makeDpopCall };
