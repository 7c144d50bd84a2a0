'use strict';

// A token endpoint that authenticates clients as Keycloak does: it checks signatures, audience,
// times and single use of assertions, and the subject of the certificate. The credentials that it
// accepts can be changed at any time.

const { createHmac, verify } = require('node:crypto');
const http = require('node:http');
const https = require('node:https');
const { listen } = require('./listen.js');
const { openManager, recorder } = require('./manager.js');

const BEARER = 'urn:ietf:params:oauth:client-assertion-type:jwt-bearer';
const PATH = '/realms/test/protocol/openid-connect/token';

/** Verifies the signature of a JWT with one of the two algorithms that the tests use. */
function isSigned(algorithm, key, signed, signature) {
  const data = Buffer.from(signed);
  if (algorithm === 'ES256') {
    return verify('sha256', data, { key, dsaEncoding: 'ieee-p1363' }, signature);
  }
  return createHmac('sha256', key).update(data).digest().equals(signature);
}

const decoded = (part) => JSON.parse(Buffer.from(part, 'base64url').toString('utf8'));

/** The error description of Keycloak; `undefined` for an assertion that authenticates the client. */
function faultOf(assertion, { algorithm, key, kid, audience, used, nowMs }) {
  const [head, body, signature] = assertion.split('.');
  const header = decoded(head);
  const claims = decoded(body);
  const now = nowMs() / 1000;
  if (header.alg !== algorithm) return 'Invalid signature algorithm';
  if (kid !== undefined && header.kid !== kid) return 'Unable to load public key';
  if (!isSigned(algorithm, key, `${head}.${body}`, Buffer.from(signature, 'base64url'))) {
    return 'Unable to load public key';
  }
  if (claims.iss !== claims.sub) return 'Invalid client or Invalid client credentials';
  if (claims.aud !== audience) return 'Invalid token audience';
  if (claims.exp + 15 < now) return 'Token is not active';
  if (claims.iat > now + 15) return 'Token was issued in the future';
  if (claims.iat + 60 < now) return 'Token was issued too far in the past to be used now';
  if (used.has(claims.jti)) return 'Token reuse detected';
  used.add(claims.jti);
  return undefined;
}

/**
 * Starts one. `believes` is the accepted credential, which may be changed: `secret`, or
 * `algorithm`, `key` and perhaps `kid`, or `subject`, or `assertion`.
 *
 * @param {{ tls?: object, expiresIn?: number, believes: object, offsetMs?: number }} options
 */
async function startVerifyingEndpoint({ tls, expiresIn = 300, believes, offsetMs = 0 }) {
  const requests = [];
  const refusals = [];
  let grantCount = 0;
  const used = new Set();
  const state = { believes, expiresIn, answer: undefined, document: {} };
  const server = tls ? https.createServer(tls, serve) : http.createServer(serve);
  const { address, stop } = await listen(undefined, server);
  const origin = `${tls ? 'https' : 'http'}://${address}`;
  const issuer = `${origin}/realms/test`;

  async function serve(request, response) {
    const send = (status, body) => {
      response.writeHead(status, { 'content-type': 'application/json' });
      response.end(JSON.stringify(body));
    };
    let text = '';
    for await (const chunk of request) text += chunk;
    const form = Object.fromEntries(new URLSearchParams(text));
    const { method, url, socket, headers } = request;
    const subject = socket.getPeerCertificate?.()?.subject?.CN;
    requests.push({ method, url, form, headers, subject, socket });
    const answer = state.answer?.(requests.length, { method, url });
    if (answer) {
      send(answer.status, answer.body);
    } else if (method === 'GET' && url === '/realms/test/.well-known/openid-configuration') {
      send(200, { issuer, token_endpoint: `${origin}${PATH}`, ...state.document });
    } else if (method !== 'POST' || url !== PATH) {
      send(404, { error: 'Unable to find matching target resource method' });
    } else {
      const fault = refusalOf(form, subject);
      if (fault) {
        refusals.push(fault);
        send(...fault);
      } else {
        grantCount += 1;
        send(200, { access_token: `token-${requests.length}`, expires_in: state.expiresIn });
      }
    }
  }

  function refusalOf(form, subject) {
    const refused = (status, text) => [
      status,
      { error: 'invalid_client', error_description: text },
    ];
    const generic = 'Invalid client or Invalid client credentials';
    const { secret, algorithm, subject: expected, assertion } = state.believes;
    if (form.client_id !== 'agent') return refused(401, generic);
    if (expected !== undefined) return subject === expected ? undefined : refused(401, generic);
    if (secret !== undefined && algorithm === undefined) {
      return form.client_secret === secret
        ? undefined
        : [401, { error: 'unauthorized_client', error_description: generic }];
    }
    if (assertion !== undefined) {
      const isRight =
        form.client_assertion === assertion.text && form.client_assertion_type === assertion.type;
      return isRight ? undefined : refused(401, generic);
    }
    if (form.client_assertion_type !== BEARER) {
      return refused(400, 'Parameter client_assertion_type is missing');
    }
    const nowMs = () => Date.now() + offsetMs;
    const audience = state.document.issuer ?? issuer;
    const key = secret ?? state.believes.key;
    const fault = faultOf(form.client_assertion, { ...state.believes, key, audience, used, nowMs });
    return fault && refused(400, fault);
  }

  return {
    origin,
    issuer,
    tokenEndpoint: `${origin}${PATH}`,
    requests,
    refusals,
    get grantCount() {
      return grantCount;
    },
    state,
    close: stop,
  };
}

/** The same with a manager on it, of the client `agent`; both are closed after the test. */
async function startVerifying(t, settings, options) {
  const endpoint = await startVerifyingEndpoint(settings);
  t.after(() => endpoint.close());
  const { logger, at } = recorder();
  const open = (more) => {
    const { tokenEndpoint } = endpoint;
    const place = options?.issuer === true ? { issuer: endpoint.issuer } : { tokenEndpoint };
    const client = { clientId: 'agent', clientSecret: undefined };
    return openManager(t, { ...client, logger, ...options, ...place, ...more });
  };
  return { endpoint, manager: open(), open, at };
}

module.exports = { BEARER, startVerifying };
