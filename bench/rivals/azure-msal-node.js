'use strict';

const credentials = require('../credentials.js');

// Its cache looks a token up by scope: one that the endpoint grants, and none of OpenID's own.
const request = { scopes: ['bench'] };

class AzureMsal {
  #application;

  constructor(application) {
    this.#application = application;
  }

  async getToken() {
    return (await this.#application.acquireTokenByClientCredential(request)).accessToken;
  }

  clearCache() {
    this.#application.clearCache();
  }
}

async function load() {
  const { ConfidentialClientApplication } = require('@azure/msal-node');
  return (tokenEndpoint) => {
    const { host } = new URL(tokenEndpoint);
    // An authority must be https, the endpoint in its metadata need not.
    const authority = `https://${host}/`;
    const metadata = {
      issuer: authority,
      authorization_endpoint: `${authority}authorize`,
      token_endpoint: tokenEndpoint,
      end_session_endpoint: `${authority}logout`,
      jwks_uri: `${authority}keys`,
    };
    const application = new ConfidentialClientApplication({
      auth: {
        ...credentials,
        authority,
        knownAuthorities: [host],
        authorityMetadata: JSON.stringify(metadata),
      },
      system: { protocolMode: 'OIDC' },
    });
    return new AzureMsal(application);
  };
}

module.exports = {
  packageName: '@azure/msal-node',
  note: '@azure/msal-node takes a foreign endpoint from metadata that is given to it.',
  load,
};
