'use strict';

const credentials = require('../credentials.js');
const { newestThatRuns } = require('./newest-that-runs.js');

const packageName = newestThatRuns('google-auth-library', 'google-auth-library-10', [22, 0]);

class GoogleAuth {
  #client;

  constructor(client) {
    this.#client = client;
    this.clearCache();
  }

  async getToken() {
    return (await this.#client.getAccessToken()).token;
  }

  clearCache() {
    this.#client.setCredentials({ refresh_token: 'bench-refresh-token' });
  }
}

async function load() {
  const { OAuth2Client } = require(packageName);
  return (oauth2TokenUrl) =>
    new GoogleAuth(new OAuth2Client({ ...credentials, endpoints: { oauth2TokenUrl } }));
}

module.exports = {
  packageName,
  note:
    'google-auth-library has no client-credentials grant; its OAuth2Client asks the same ' +
    'endpoint by refresh token, which is the same exchange.',
  load,
};
