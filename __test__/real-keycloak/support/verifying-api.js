/** An API that verifies every token, and a manager for it. */
'use strict';

const { startApi } = require('../../support/api-server.js');
const { manage } = require('./keycloak');

/**
 * Starts an API that answers 200 to a token that the keys verify which the realm has now, and 401 to
 * another. `statuses` are its answers.
 */
async function startVerifyingApi(t, realmUrl, options, leewayMs = 0) {
  const { createRemoteJWKSet, jwtVerify } = await import('jose');
  const url = new URL(`${realmUrl}/protocol/openid-connect/certs`);
  const rules = { algorithms: ['RS256'], clockTolerance: leewayMs / 1000 };
  const statuses = [];
  const api = await startApi(t, async ({ headers }, response) => {
    const [, token] = /^Bearer (\S+)$/.exec(headers.authorization ?? '') ?? [];
    const status = await jwtVerify(token, createRemoteJWKSet(url), rules).then(
      () => 200,
      () => 401,
    );
    statuses.push(status);
    response.writeHead(status).end();
  });
  const manager = manage(t, { ...options, resource: { baseUrl: api.url } });
  return { manager, statuses };
}

module.exports = { startVerifyingApi };
