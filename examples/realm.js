'use strict';

// Starts the realm of the examples, in a real Keycloak or as the embedded endpoint.

const { startFakeTokenEndpoint } = require('../lib/testing');

const clientId = 'kagenti-api';
const clientSecret = 's3cr+t%/:x';
/** The client to which users sign in. */
const portal = { client_id: 'portal', client_secret: 'secret-of-portal' };

/** Starts the realm. Only an embedded realm has the member `endpoint`. */
async function startRealm({ embedded, log }) {
  if (embedded) {
    const clients = { [clientId]: clientSecret, [portal.client_id]: portal.client_secret };
    const roles = ['kagenti-operator'];
    const endpoint = await startFakeTokenEndpoint({ realm: 'kagenti', clients, roles });
    const { tokenEndpoint, jwksUri: jwksUrl } = endpoint;
    const stop = () => endpoint.close();
    return { tokenEndpoint, jwksUrl, clientId, clientSecret, endpoint, stop };
  }
  // Only a real Keycloak needs this module, which requires Java.
  const { startKeycloak } = require('../tools/keycloak');
  const keycloak = await startKeycloak({ log });
  const { tokenEndpoint, realmUrl } = keycloak;
  const jwksUrl = `${realmUrl}/protocol/openid-connect/certs`;
  return { tokenEndpoint, jwksUrl, clientId, clientSecret, stop: () => keycloak.stop() };
}

/** Signs a user in, without a browser, and returns the access token of the user's session. */
async function tokenOfUser({ tokenEndpoint, endpoint }) {
  if (endpoint) return endpoint.issueToken({ sub: 'jane', azp: portal.client_id, aud: clientId });
  const user = { username: 'jane', password: 'password-of-jane' };
  const response = await post(tokenEndpoint, { grant_type: 'password', ...user });
  return (await response.json()).access_token;
}

/** Revokes a user's token, as Keycloak does at the end of a session. */
async function revokeToken(tokenEndpoint, token) {
  await post(tokenEndpoint.replace(/token$/, 'revoke'), { token });
}

async function post(url, form) {
  const body = new URLSearchParams({ ...portal, ...form });
  const response = await fetch(url, { method: 'POST', body });
  if (!response.ok) throw new Error(`${url}: ${response.status} ${await response.text()}`);
  return response;
}

module.exports = { clientSecret, revokeToken, startRealm, tokenOfUser };
