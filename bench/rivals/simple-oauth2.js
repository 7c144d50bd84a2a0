'use strict';

const credentials = require('../credentials.js');
const { MARGIN_SECONDS } = require('./token-cache.js');

class SimpleOAuth2 {
  #client;
  #accessToken;
  #pending;

  constructor(client) {
    this.#client = client;
  }

  async getToken() {
    if (this.#accessToken === undefined || this.#accessToken.expired(MARGIN_SECONDS)) {
      this.#pending ??= this.#client.getToken({}).finally(() => {
        this.#pending = undefined;
      });
      this.#accessToken = await this.#pending;
    }
    return this.#accessToken.token.access_token;
  }

  clearCache() {
    this.#accessToken = undefined;
  }
}

async function load() {
  const { ClientCredentials } = require('simple-oauth2');
  return (tokenEndpoint) => {
    const { origin, pathname } = new URL(tokenEndpoint);
    const client = new ClientCredentials({
      client: { id: credentials.clientId, secret: credentials.clientSecret },
      auth: { tokenHost: origin, tokenPath: pathname },
      options: { authorizationMethod: 'body' },
    });
    return new SimpleOAuth2(client);
  };
}

module.exports = {
  packageName: 'simple-oauth2',
  note:
    'simple-oauth2 copies its HTTP options, an agent too, for every request: it opens a ' +
    'connection for each token.',
  load,
};
