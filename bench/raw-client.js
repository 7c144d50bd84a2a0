'use strict';

// The minimum with Node's own client: a form over a keep-alive connection, and JSON parsed. It has
// no deadline, no check of the status and no cache.

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
