'use strict';

// A minimal token request with Node's own client: it sends a form over a keep-alive connection and
// parses the JSON. It has no deadline, no check of the status and no cache.

const { clientId, clientSecret } = require('./credentials.js');
const { post } = require('./post.js');

function makeRaw(tokenEndpoint) {
  const { Agent } = require(tokenEndpoint.startsWith('https:') ? 'node:https' : 'node:http');
  const agent = new Agent({ keepAlive: true });
  const form = new URLSearchParams({
    grant_type: 'client_credentials',
    client_id: clientId,
    client_secret: clientSecret,
  }).toString();
  return {
    getToken: async () =>
      JSON.parse((await post(tokenEndpoint, form, { agent })).body).access_token,
    clearCache() {},
  };
}

module.exports = { makeRaw };
