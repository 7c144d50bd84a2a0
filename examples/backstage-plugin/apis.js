/**
 * An API for agents with the interface of Kagenti's API, and just as strict: only RS256, keys from
 * the realm's JWKS, no leeway on `exp`, a role for every write. It checks neither the issuer nor
 * the audience. A second API, for users' runs, also requires its own name in `aud`.
 */
'use strict';

const { once } = require('node:events');
const { createServer } = require('node:http');
const { json } = require('node:stream/consumers');

const ROLES = { GET: undefined, POST: 'kagenti-operator' };
/** The answers to a token that jose rejects, keyed by jose's error code. */
const REJECTIONS = {
  ERR_JOSE_ALG_NOT_ALLOWED: 'Invalid token: The specified alg value is not allowed',
  ERR_JWKS_NO_MATCHING_KEY: 'Token signing key not found',
  ERR_JWS_SIGNATURE_VERIFICATION_FAILED: 'Invalid token: Signature verification failed.',
  ERR_JWT_EXPIRED: 'Invalid token: Signature has expired.',
};

/** An error that the API sends as an answer. */
class Refusal extends Error {
  constructor(status, detail) {
    super(detail);
    this.status = status;
  }
}

const AGENTS = {
  path: '/api/v1/agents',
  first: { name: 'weather', namespace: 'team1', status: 'Ready' },
};
const RUNS = {
  path: '/runs',
  first: { agent: 'weather', status: 'Succeeded' },
  audience: 'runs-api',
};

/**
 * Starts an API. `requests` lists the calls: the method, the status, the user in the header, and
 * the token's claims `sub`, `azp` and `aud`. `tokens` has the `jti` of every valid token that the
 * API has received.
 */
async function startApi({ path, first, audience }, jwksUrl) {
  const jose = await import('jose');
  const keys = jose.createRemoteJWKSet(new URL(jwksUrl), { cooldownDuration: 0 });
  const items = [first];
  const requests = [];
  const tokens = new Set();
  const server = createServer(async (request, response) => {
    const user = request.headers['x-backstage-user'];
    const entry = { method: request.method, user, status: 200 };
    let body;
    try {
      const claims = await authenticate(jose, request.headers.authorization, { keys, audience });
      const { sub, azp, aud } = claims;
      Object.assign(entry, { sub, azp, aud });
      tokens.add(claims.jti);
      authorise(request, claims, path);
      if (request.method === 'POST') items.push(await json(request));
      body = { items };
    } catch (error) {
      if (!(error instanceof Refusal)) throw error;
      entry.status = error.status;
      body = { detail: error.message };
    }
    requests.push(entry);
    response.writeHead(entry.status, { 'content-type': 'application/json' });
    response.end(JSON.stringify(body));
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return {
    url: `http://127.0.0.1:${server.address().port}`,
    requests,
    tokens,
    close() {
      server.closeAllConnections();
      return new Promise((resolve) => server.close(resolve));
    },
  };
}

/** Returns the claims of a valid token. */
async function authenticate(jose, authorization, { keys, audience }) {
  const [, token] = /^Bearer (\S+)$/i.exec(authorization ?? '') ?? [];
  if (token === undefined) throw new Refusal(401, 'Authentication required');
  let header;
  try {
    header = jose.decodeProtectedHeader(token);
  } catch {
    throw new Refusal(401, 'Invalid token: Error decoding token.');
  }
  if (header.kid === undefined) throw new Refusal(401, 'Token missing key ID');
  try {
    const options = { algorithms: ['RS256'], requiredClaims: ['exp'], audience };
    return (await jose.jwtVerify(token, keys, options)).payload;
  } catch (error) {
    if (!error.code?.startsWith('ERR_J') || error.code === 'ERR_JWKS_TIMEOUT') {
      throw new Refusal(503, 'Authentication service unavailable');
    }
    throw new Refusal(401, REJECTIONS[error.code] ?? `Invalid token: ${error.message}`);
  }
}

function authorise({ method, url }, claims, path) {
  if (url !== path) throw new Refusal(404, 'Not Found');
  if (!Object.hasOwn(ROLES, method)) throw new Refusal(405, 'Method Not Allowed');
  const role = ROLES[method];
  const clients = Object.values(claims.resource_access ?? {});
  const roles = [claims.realm_access ?? {}, ...clients].flatMap((part) => part.roles ?? []);
  // Every valid token allows reading.
  if (role === undefined || roles.includes(role) || roles.includes('admin')) return;
  throw new Refusal(403, `Required role(s): ${role}`);
}

module.exports = {
  startAgentsApi: (jwksUrl) => startApi(AGENTS, jwksUrl),
  startRunsApi: (jwksUrl) => startApi(RUNS, jwksUrl),
};
