'use strict';

// The rivals: npm packages that get client-credentials tokens. The bench uses them as their
// documentation says. `load()` imports the package and returns a function that creates a manager
// with `getToken()` and `clearCache()` for a token endpoint. This file loads no package by itself,
// because the bench measures the load time.

const { clientId, clientSecret } = require('../credentials.js');
const { loadOpenid } = require('./openid.js');

/** A rival replaces its token this number of seconds before its expiry. */
const MARGIN_SECONDS = 60;

/**
 * The cache that developers write around a library that has no cache. It keeps the token, and sends
 * one request at a time.
 */
class TokenCache {
  #acquire;
  #token;
  #freshUntil = 0;
  #pending;

  /** @param {() => Promise<{ access_token: string, expires_in: number }>} acquire */
  constructor(acquire) {
    this.#acquire = acquire;
  }

  async getToken() {
    if (Date.now() < this.#freshUntil) return this.#token;
    this.#pending ??= this.#refresh().finally(() => {
      this.#pending = undefined;
    });
    return this.#pending;
  }

  clearCache() {
    this.#token = undefined;
    this.#freshUntil = 0;
  }

  async #refresh() {
    const answer = await this.#acquire();
    this.#token = answer.access_token;
    this.#freshUntil = Date.now() + (answer.expires_in - MARGIN_SECONDS) * 1000;
    return this.#token;
  }
}

/** The rivals, keyed by package name. */
const rivals = {
  'openid-client': {
    async load() {
      const { client, configure } = await loadOpenid();
      return (tokenEndpoint) => {
        const config = configure(tokenEndpoint);
        return new TokenCache(() => client.clientCredentialsGrant(config));
      };
    },
  },

  'simple-oauth2': {
    note:
      'simple-oauth2 copies its HTTP options for every request, even an agent, so it opens a ' +
      'connection for each token.',
    async load() {
      const { ClientCredentials } = require('simple-oauth2');
      return (tokenEndpoint) => {
        const { origin, pathname } = new URL(tokenEndpoint);
        const client = new ClientCredentials({
          client: { id: clientId, secret: clientSecret },
          auth: { tokenHost: origin, tokenPath: pathname },
          options: { authorizationMethod: 'body' },
        });
        return new TokenCache(async () => (await client.getToken({})).token);
      };
    },
  },

  '@badgateway/oauth2-client': {
    async load() {
      const { OAuth2Client, OAuth2Fetch } = await import('@badgateway/oauth2-client');
      return (tokenEndpoint) => {
        const authenticationMethod = 'client_secret_post';
        const settings = { tokenEndpoint, clientId, clientSecret, authenticationMethod };
        const client = new OAuth2Client(settings);
        const getNewToken = () => client.clientCredentials();
        // The wrapper cannot drop its token, so this method makes a new wrapper.
        let fetch = new OAuth2Fetch({ client, getNewToken });
        return {
          getToken: () => fetch.getAccessToken(),
          clearCache() {
            fetch = new OAuth2Fetch({ client, getNewToken });
          },
        };
      };
    },
  },

  'google-auth-library': {
    note:
      'google-auth-library has no client-credentials grant; its OAuth2Client sends a refresh ' +
      'token to the same endpoint, which is the same exchange.',
    async load() {
      const { OAuth2Client } = require('google-auth-library');
      return (oauth2TokenUrl) => {
        const endpoints = { oauth2TokenUrl };
        const client = new OAuth2Client({ clientId, clientSecret, endpoints });
        const clearCache = () => client.setCredentials({ refresh_token: 'bench-refresh-token' });
        clearCache();
        return { getToken: async () => (await client.getAccessToken()).token, clearCache };
      };
    },
  },

  '@azure/msal-node': {
    note: '@azure/msal-node gets the endpoint from metadata, because it is not an Azure endpoint.',
    async load() {
      const { ConfidentialClientApplication } = require('@azure/msal-node');
      // The cache finds a token by a granted scope that OpenID Connect does not define.
      const request = { scopes: ['bench'] };
      return (tokenEndpoint) => {
        const { host } = new URL(tokenEndpoint);
        // An authority must use https; the endpoint in its metadata need not.
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
            clientId,
            clientSecret,
            authority,
            knownAuthorities: [host],
            authorityMetadata: JSON.stringify(metadata),
          },
          system: { protocolMode: 'OIDC' },
        });
        return {
          async getToken() {
            return (await application.acquireTokenByClientCredential(request)).accessToken;
          },
          clearCache: () => application.clearCache(),
        };
      };
    },
  },

  undici: {
    async load() {
      const { Agent, request } = require('undici');
      const headers = { 'content-type': 'application/x-www-form-urlencoded' };
      return (tokenEndpoint) => {
        const dispatcher = new Agent();
        return new TokenCache(async () => {
          const form = new URLSearchParams({
            grant_type: 'client_credentials',
            client_id: clientId,
            client_secret: clientSecret,
          });
          const options = { method: 'POST', headers, body: form.toString(), dispatcher };
          const { statusCode, body } = await request(tokenEndpoint, options);
          if (statusCode !== 200) throw new Error(`status ${statusCode}`);
          return body.json();
        });
      };
    },
  },
};

module.exports = { rivals };
