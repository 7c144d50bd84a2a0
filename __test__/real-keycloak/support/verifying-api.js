/** An API that verifies every token, and a manager that calls it. */
'use strict';

const { startApi } = require('../../support/api-server.js');
const { manage } = require('./keycloak');

/**
 * Starts an API that answers 200 to a token that the realm's current keys verify, and 401 to any
 * other token. `statuses` lists its answers.
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
