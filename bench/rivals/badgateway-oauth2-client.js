'use strict';

const credentials = require('../credentials.js');

class BadgatewayOAuth2 {
  #library;
  #client;
  #fetch;

  constructor(library, tokenEndpoint) {
    this.#library = library;
    this.#client = new library.OAuth2Client({
      tokenEndpoint,
      ...credentials,
      authenticationMethod: 'client_secret_post',
    });
    this.clearCache();
  }

  getToken() {
    return this.#fetch.getAccessToken();
  }

  // The wrapper forgets its token only with itself.
  clearCache() {
    this.#fetch = new this.#library.OAuth2Fetch({
      client: this.#client,
      getNewToken: () => this.#client.clientCredentials(),
    });
  }
}

async function load() {
  const library = await import('@badgateway/oauth2-client');
  return (tokenEndpoint) => new BadgatewayOAuth2(library, tokenEndpoint);
}

module.exports = { packageName: '@badgateway/oauth2-client', load };
