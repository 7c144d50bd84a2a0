'use strict';

const credentials = require('../credentials.js');
const { newestThatRuns } = require('./newest-that-runs.js');
const { TokenCache } = require('./token-cache.js');

const packageName = newestThatRuns('undici', 'undici-7', [22, 19]);

async function load() {
  const { Agent, fetch } = require(packageName);
  return (tokenEndpoint) => {
    const dispatcher = new Agent();
    return new TokenCache(async () => {
      const response = await fetch(tokenEndpoint, {
        method: 'POST',
        body: new URLSearchParams({
          grant_type: 'client_credentials',
          client_id: credentials.clientId,
          client_secret: credentials.clientSecret,
        }),
        dispatcher,
      });
      if (!response.ok) throw new Error(`status ${response.status}`);
      const { access_token: token, expires_in: expiresIn } = await response.json();
      return { token, expiresIn };
    });
  };
}

module.exports = { packageName, load };
