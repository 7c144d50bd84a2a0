'use strict';

// Answers requests as Keycloak 26 does, with the same order of checks, statuses and texts. Two
// codes are surprising: Keycloak answers a wrong secret with `unauthorized_client`, and an unknown
// client with `invalid_client`.

const { ALGORITHMS, ProofRefusal } = require('./dpop.js');

const FORM = 'application/x-www-form-urlencoded';
const TOKEN_EXCHANGE = 'urn:ietf:params:oauth:grant-type:token-exchange';
const ACCESS_TOKEN_TYPE = 'urn:ietf:params:oauth:token-type:access_token';
/** The fields that a token exchange may repeat. */
const REPEATABLE = new Set(['audience', 'resource']);
const EXCHANGE = 'for standard token exchange';
const GENERIC = 'Invalid client or Invalid client credentials';
const DEFAULT_SCOPE = 'email profile';

const SECURITY_HEADERS = {
  'Referrer-Policy': 'no-referrer',
  'Strict-Transport-Security': 'max-age=31536000; includeSubDomains',
  'X-Content-Type-Options': 'nosniff',
  'X-Frame-Options': 'SAMEORIGIN',
};

function json(status, content, headers) {
  return {
    status,
    headers: { ...headers, 'Content-Type': 'application/json', ...SECURITY_HEADERS },
    body: Buffer.from(JSON.stringify(content)),
  };
}

function refusal(status, error, description) {
  return json(status, { error, error_description: description }, { 'Cache-Control': 'no-store' });
}

/**
 * Decodes a part of Basic credentials: the client form-encodes both parts before it joins them (RFC
 * 6749 §2.3.1).
 */
function formDecode(text) {
  return decodeURIComponent(text.replaceAll('+', ' '));
}

/**
 * Returns the credentials of an `Authorization: Basic` header. Without a readable header, the
 * result has no credentials.
 */
function readBasic(header) {
  const encoded = /^basic +(.+)$/i.exec(header ?? '')?.[1];
  const text = encoded === undefined ? '' : Buffer.from(encoded, 'base64').toString();
  const colon = text.indexOf(':');
  if (colon < 0) return {};
  try {
    return {
      clientId: formDecode(text.slice(0, colon)),
      secret: formDecode(text.slice(colon + 1)),
    };
  } catch {
    return { broken: true };
  }
}

function authentication(form, basic) {
  if (form.has('client_secret')) return 'client_secret_post';
  if (basic.secret !== undefined || basic.broken) return 'client_secret_basic';
  return form.has('client_assertion') ? 'client_assertion' : 'none';
}

/**
 * Parses a token request.
 *
 * @param {import('node:http').IncomingHttpHeaders} headers
 * @param {string} body
 */
function readTokenRequest(headers, body) {
  const isForm = (headers['content-type'] ?? '').toLowerCase().startsWith(FORM);
  const form = new URLSearchParams(isForm ? body : '');
  const isExchange = form.get('grant_type') === TOKEN_EXCHANGE;
  const names = [...form.keys()].filter((name) => !(isExchange && REPEATABLE.has(name)));
  const basic = readBasic(headers.authorization);
  return {
    form,
    isDuplicated: new Set(names).size < names.length,
    isBroken: basic.broken === true,
    authentication: authentication(form, basic),
    // The fields of the form take precedence.
    clientId: form.get('client_id') ?? basic.clientId,
    secret: form.get('client_secret') ?? basic.secret,
  };
}

/** Returns the refusal of a token request, or `undefined`. */
function refuse(request, secrets) {
  const grantType = request.form.get('grant_type');
  if (grantType === null) {
    return refusal(400, 'invalid_request', 'Missing form parameter: grant_type');
  }
  if (grantType !== 'client_credentials' && grantType !== TOKEN_EXCHANGE) {
    return refusal(400, 'unsupported_grant_type', 'Unsupported grant_type');
  }
  return refuseClient(request, secrets);
}

/** Returns the refusal of a request's client, or `undefined`. */
function refuseClient(request, secrets) {
  if (request.isBroken) {
    return refusal(400, 'unauthorized_client', 'Unexpected error when authenticating client');
  }
  if (!secrets.has(request.clientId)) return refusal(401, 'invalid_client', GENERIC);
  if (request.secret !== secrets.get(request.clientId)) {
    return refusal(401, 'unauthorized_client', GENERIC);
  }
  if (request.isDuplicated) return refusal(400, 'invalid_request', 'duplicated parameter');
  return undefined;
}

/** Returns the refusal to exchange a subject token, or `undefined`. */
function refuseExchange({ form, clientId }, subject) {
  const wrong = (description) => refusal(400, 'invalid_request', description);
  if (!form.has('subject_token')) return wrong(`Parameter 'subject_token' required ${EXCHANGE}`);
  const type = form.get('subject_token_type');
  if (type === null) return wrong(`Parameter 'subject_token_type' required ${EXCHANGE}`);
  if (type !== ACCESS_TOKEN_TYPE) {
    return wrong("Parameter 'subject_token' supports access tokens only");
  }
  if ((form.get('requested_token_type') ?? ACCESS_TOKEN_TYPE) !== ACCESS_TOKEN_TYPE) {
    return wrong('requested_token_type unsupported');
  }
  if (subject === undefined) return wrong('Invalid token');
  if (subject.azp !== clientId && ![subject.aud].flat().includes(clientId)) {
    return refusal(403, 'access_denied', 'Client is not within the token audience');
  }
  return undefined;
}

/**
 * Returns the answer to a token request.
 *
 * @param {ReturnType<typeof readTokenRequest>} request
 * @param {Map<string, string>} secrets the secrets, keyed by client id
 * @param {number} expiresIn in seconds
 * @param {object} tokens
 * @param {(grant: object) => string} tokens.issue
 * @param {() => string | undefined} tokens.bind returns the thumbprint of the key to which the
 *   endpoint binds the token
 * @param {(token: string | null) => object | undefined} tokens.read returns the claims of a valid
 *   token that this endpoint issued
 */
function answerTokenRequest(request, secrets, expiresIn, { issue, bind, read }) {
  const isExchange = request.form.get('grant_type') === TOKEN_EXCHANGE;
  const subject = isExchange ? read(request.form.get('subject_token')) : undefined;
  const refused =
    refuse(request, secrets) ?? (isExchange ? refuseExchange(request, subject) : undefined);
  if (refused) return refused;
  let jkt;
  try {
    jkt = bind();
  } catch (error) {
    if (!(error instanceof ProofRefusal)) throw error;
    return refusal(error.status, error.error, error.message);
  }
  const scope = request.form.get('scope') || DEFAULT_SCOPE;
  const audience = isExchange ? request.form.getAll('audience') : [];
  return json(
    200,
    {
      access_token: issue({ clientId: request.clientId, scope, expiresIn, jkt, subject, audience }),
      expires_in: expiresIn,
      refresh_expires_in: 0,
      token_type: jkt === undefined ? 'Bearer' : 'DPoP',
      'not-before-policy': 0,
      scope,
      ...(isExchange && { issued_token_type: ACCESS_TOKEN_TYPE }),
    },
    { 'Cache-Control': 'no-store', Pragma: 'no-cache' },
  );
}

/**
 * Returns the answer to a revocation request (RFC 7009).
 *
 * @param {ReturnType<typeof readTokenRequest>} request
 * @param {Map<string, string>} secrets the secrets, keyed by client id
 * @param {(token: string) => object | undefined} read returns the claims of a valid token
 * @param {(token: string) => void} revoke
 */
function answerRevocation(request, secrets, read, revoke) {
  const refused = refuseClient(request, secrets);
  if (refused) return refused;
  const token = request.form.get('token');
  if (token === null) return refusal(400, 'invalid_request', 'Token not provided');
  const claims = read(token);
  if (claims === undefined) {
    return json(200, { error: 'invalid_token', error_description: 'Invalid token' });
  }
  if (claims.azp !== request.clientId) {
    return refusal(400, 'invalid_request', 'Unmatching clients');
  }
  revoke(token);
  return { status: 200, headers: { ...SECURITY_HEADERS }, body: Buffer.alloc(0) };
}

/** Returns the URLs of a realm, by name. */
function realmUrls(issuer) {
  const base = `${issuer}/protocol/openid-connect`;
  return {
    tokenEndpoint: `${base}/token`,
    jwksUri: `${base}/certs`,
    revocationEndpoint: `${base}/revoke`,
    discovery: `${issuer}/.well-known/openid-configuration`,
  };
}

function discoveryDocument(issuer) {
  const { tokenEndpoint, jwksUri, revocationEndpoint } = realmUrls(issuer);
  return {
    issuer,
    token_endpoint: tokenEndpoint,
    jwks_uri: jwksUri,
    revocation_endpoint: revocationEndpoint,
    grant_types_supported: ['client_credentials', TOKEN_EXCHANGE],
    response_types_supported: [],
    subject_types_supported: ['public', 'pairwise'],
    id_token_signing_alg_values_supported: ['RS256'],
    token_endpoint_auth_methods_supported: ['client_secret_basic', 'client_secret_post'],
    dpop_signing_alg_values_supported: Object.keys(ALGORITHMS),
  };
}

/**
 * Returns the answer to any other request.
 *
 * @param {string} method
 * @param {string} path
 * @param {string} issuer
 * @param {object} jwk the public key
 */
function answerOther(method, path, issuer, jwk) {
  if (path.includes('//') || path.includes('/../')) {
    return json(400, {
      error: 'missingNormalization',
      error_description: 'Request path not normalized',
    });
  }
  const { origin, pathname } = new URL(issuer);
  const { jwksUri, discovery } = realmUrls(issuer);
  const caching = { 'Cache-Control': 'no-cache' };
  if (method === 'GET' && origin + path === jwksUri) return json(200, { keys: [jwk] }, caching);
  if (method === 'GET' && origin + path === discovery) {
    return json(200, discoveryDocument(issuer), caching);
  }
  if (path.startsWith(`${pathname}/`)) return json(405, { error: 'HTTP 405 Method Not Allowed' });
  if (path.startsWith('/realms/')) return json(404, { error: 'Realm does not exist' });
  return json(404, { error: 'Unable to find matching target resource method' });
}

module.exports = {
  answerOther,
  answerRevocation,
  answerTokenRequest,
  DEFAULT_SCOPE,
  readTokenRequest,
  realmUrls,
};
