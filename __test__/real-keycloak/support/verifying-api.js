/** An API that verifies every token, and a manager for it. */
'use strict';

const { createPublicKey, verify } = require('node:crypto');

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
    response.statusCode = token !== undefined && (await isValid(token)) ? 200 : 401;
    statuses.push(response.statusCode);
    return '';
  });
  const manager = manage(t, { ...options, resource: { baseUrl: api.url } });
  return { manager, statuses };
}

/** Verifies with the keys that the realm has now. */
function byKeys(jwksUrl, leewayMs = 0) {
  return async (token) => {
    const [header, payload, signature] = token.split('.');
    const { kid } = decoded(header);
    const { keys } = await (await fetch(jwksUrl)).json();
    const key = keys.find((candidate) => candidate.kid === kid);
    if (key === undefined || decoded(payload).exp * 1000 + leewayMs <= Date.now()) return false;
    const signed = Buffer.from(`${header}.${payload}`);
    const publicKey = createPublicKey({ key, format: 'jwk' });
    return verify('RSA-SHA256', signed, publicKey, Buffer.from(signature, 'base64url'));
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

function decoded(part) {
  return JSON.parse(Buffer.from(part, 'base64url').toString('utf8'));
}

module.exports = { byIntrospection, byKeys, startVerifyingApi };
