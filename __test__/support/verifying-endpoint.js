'use strict';

// A token endpoint that verifies a client's credential: a secret, a signature, an assertion or the
// subject of a certificate. A test can change the accepted credential at any time.
// `oidc-provider.test.js` and the tests with a real Keycloak also check the claims of assertions.

const { createHmac, verify } = require('node:crypto');
const { startApi } = require('./api-server.js');
const { openManager, recorder } = require('./manager.js');

const BEARER = 'urn:ietf:params:oauth:client-assertion-type:jwt-bearer';
const PATH = '/realms/test/protocol/openid-connect/token';
const DOCUMENT = '/realms/test/.well-known/openid-configuration';

/** Verifies a JWT with one of the two signing algorithms that the tests use. */
function isSigned(assertion, { algorithm, key, kid, secret }) {
  const [head, body, signature] = assertion.split('.');
  const data = Buffer.from(`${head}.${body}`);
  const bytes = Buffer.from(signature, 'base64url');
  const header = JSON.parse(Buffer.from(head, 'base64url'));
  if (header.alg !== algorithm || (kid !== undefined && header.kid !== kid)) return false;
  return algorithm === 'ES256'
    ? verify('sha256', data, { key, dsaEncoding: 'ieee-p1363' }, bytes)
    : createHmac('sha256', secret).update(data).digest().equals(bytes);
}

/** Whether a request has the credential that the endpoint accepts. */
function isProven({ form, subject }, accepted) {
  const { client_assertion: assertion, client_assertion_type: type } = form;
  if (form.client_id !== 'agent') return false;
  if (accepted.subject !== undefined) return subject === accepted.subject;
  if (accepted.assertion)
    return assertion === accepted.assertion.text && type === accepted.assertion.type;
  if (accepted.algorithm === undefined) return form.client_secret === accepted.secret;
  return type === BEARER && isSigned(assertion, accepted);
}

/** Keycloak's answer to a client that fails to authenticate. */
function refusalOf({ secret, algorithm }) {
  if (algorithm !== undefined) {
    return { error: 'invalid_client', error_description: 'Unable to load public key' };
  }
  const error = secret === undefined ? 'invalid_client' : 'unauthorized_client';
  return { error, error_description: 'Invalid client or Invalid client credentials' };
}

/**
 * Starts a verifying endpoint and a manager for it, with the client `agent`. `settings.believes` is
 * the accepted credential: `secret`; `algorithm` with `secret`, or with `key` and perhaps `kid`;
 * `subject`; or `assertion`.
 *
 * @param {{ tls?: object, expiresIn?: number, believes: object }} settings
 */
async function startVerifying(t, { tls, expiresIn = 300, believes }, options) {
  const requests = [];
  const state = { believes, answer: undefined, document: {} };
  const endpoint = { requests, state, grantCount: 0, refusalCount: 0 };

  function answerTo({ method, url, form, subject }) {
    if (method === 'GET' && url === DOCUMENT) {
      const { issuer, tokenEndpoint } = endpoint;
      return { status: 200, body: { issuer, token_endpoint: tokenEndpoint, ...state.document } };
    }
    if (method !== 'POST' || url !== PATH) {
      return { status: 404, body: { error: 'Unable to find matching target resource method' } };
    }
    if (!isProven({ form, subject }, state.believes)) {
      endpoint.refusalCount += 1;
      return { status: 401, body: refusalOf(state.believes) };
    }
    endpoint.grantCount += 1;
    const token = `token-${requests.length}`;
    return { status: 200, body: { access_token: token, expires_in: expiresIn } };
  }

  const { url: origin } = await startApi(
    t,
    ({ method, url, socket, headers }, _response, text) => {
      const form = Object.fromEntries(new URLSearchParams(text));
      const subject = socket.getPeerCertificate?.()?.subject?.CN;
      const request = { method, url, form, headers, subject, socket };
      requests.push(request);
      const answer = state.answer?.(requests.length, request) ?? answerTo(request);
      const fields = { 'content-type': 'application/json', ...answer.headers };
      return [answer.status, fields, JSON.stringify(answer.body)];
    },
    { tls },
  );
  const issuer = `${origin}/realms/test`;
  const tokenEndpoint = `${origin}${PATH}`;
  Object.assign(endpoint, { origin, issuer, tokenEndpoint });
  const { logger, at } = recorder();
  const place = options?.issuer === true ? { issuer } : { tokenEndpoint };
  const client = { clientId: 'agent', clientSecret: undefined, logger };
  return { endpoint, manager: openManager(t, { ...client, ...options, ...place }), at };
}

module.exports = { BEARER, startVerifying };
