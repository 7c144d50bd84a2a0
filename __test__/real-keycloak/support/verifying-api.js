/** An API that verifies every token, and a manager for it. */
'use strict';

const { startApi } = require('../../support/api-server.js');
const { manage } = require('./keycloak');

/**
 * Starts an API that answers 200 to a token for which `isValid(token)` holds and 401 to another.
 * `statuses` are its answers.
 */
async function startVerifyingApi(t, isValid, options) {
  const statuses = [];
  const api = await startApi(t, async ({ headers }, response) => {
    const [, token] = /^Bearer (\S+)$/.exec(headers.authorization ?? '') ?? [];
    const status = token !== undefined && (await isValid(token)) ? 200 : 401;
    statuses.push(status);
    response.writeHead(status).end();
  });
  const manager = manage(t, { ...options, resource: { baseUrl: api.url } });
  return { manager, statuses };
}

/** Verifies with the keys that the realm has now. */
function byKeys(realmUrl, leewayMs = 0) {
  const url = new URL(`${realmUrl}/protocol/openid-connect/certs`);
  return async (token) => {
    const { createRemoteJWKSet, jwtVerify } = await import('jose');
    const options = { algorithms: ['RS256'], clockTolerance: leewayMs / 1000 };
    return jwtVerify(token, createRemoteJWKSet(url), options).then(
      () => true,
      () => false,
    );
  };
}

/** Asks the realm about each token, as RFC 7662 has it. */
function byIntrospection({ tokenEndpoint }, { clientId, secret }) {
  return async (token) => {
    const response = await fetch(`${tokenEndpoint}/introspect`, {
      method: 'POST',
      body: new URLSearchParams({ token, client_id: clientId, client_secret: secret }),
    });
    return (await response.json()).active;
  };
}

module.exports = { byIntrospection, byKeys, startVerifyingApi };
