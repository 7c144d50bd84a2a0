'use strict';

const credentials = require('../credentials.js');
const { newestThatRuns } = require('./newest-that-runs.js');
const { TokenCache } = require('./token-cache.js');

const packageName = newestThatRuns('undici', 'undici-7', [22, 19]);

async function load() {
  const { Agent, request } = require(packageName);
  return (tokenEndpoint) => {
    const dispatcher = new Agent();
    return new TokenCache(async () => {
      const form = new URLSearchParams({
        grant_type: 'client_credentials',
        client_id: credentials.clientId,
        client_secret: credentials.clientSecret,
      });
      const { statusCode, body } = await request(tokenEndpoint, {
        method: 'POST',
        headers: { 'content-type': 'application/x-www-form-urlencoded' },
        body: form.toString(),
        dispatcher,
      });
      if (statusCode !== 200) throw new Error(`status ${statusCode}`);
      const { access_token: token, expires_in: expiresIn } = await body.json();
      return { token, expiresIn };
    });
  };
}

module.exports = { packageName, load };
