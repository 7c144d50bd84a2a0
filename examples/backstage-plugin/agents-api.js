/**
 * An API that looks after agents, shaped like Kagenti's and as strict: RS256 only, keys from the
 * realm's JWKS, no leeway on `exp`, a role for every write. It looks at no issuer or audience.
 */
'use strict';

const { createPublicKey, verify } = require('node:crypto');
const { once } = require('node:events');
const { createServer } = require('node:http');

const ROLES = { GET: undefined, POST: 'kagenti-operator' };
const BODY_LIMIT = 64 * 1024;

/** The answer instead of the agents. */
class Refusal extends Error {
  constructor(status, detail, headers = {}) {
    super(detail);
    Object.assign(this, { status, headers });
  }
}

/** `requests` tells who called: method, status, the user in the header, the token's client. */
async function startAgentsApi(jwksUrl) {
  const keys = keySet(jwksUrl);
  const agents = [{ name: 'weather', namespace: 'team1', status: 'Ready' }];
  const requests = [];
  const server = createServer(async (request, response) => {
    const user = request.headers['x-backstage-user'];
    const entry = { method: request.method, user, client: undefined, status: 200 };
    let body;
    let headers = {};
    try {
      const claims = await authenticate(request.headers.authorization, keys);
      entry.client = claims.azp;
      authorise(request, claims);
      if (request.method === 'POST') agents.push(await json(request));
      body = { items: agents };
    } catch (error) {
      if (!(error instanceof Refusal)) throw error;
      entry.status = error.status;
      body = { detail: error.message };
      headers = error.headers;
    }
    requests.push(entry);
    response.writeHead(entry.status, { 'content-type': 'application/json', ...headers });
    response.end(JSON.stringify(body));
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return {
    url: `http://127.0.0.1:${server.address().port}`,
    requests,
    close() {
      server.closeAllConnections();
      return new Promise((resolve) => server.close(resolve));
    },
  };
}

/** The claims of a valid token. */
async function authenticate(authorization, keys) {
  const [, token] = /^Bearer (\S+)$/i.exec(authorization ?? '') ?? [];
  if (token === undefined) {
    throw new Refusal(401, 'Authentication required', { 'www-authenticate': 'Bearer' });
  }
  const [header, payload, signature] = token.split('.');
  const { alg, kid } = decoded(header);
  if (kid === undefined) throw new Refusal(401, 'Token missing key ID');
  if (alg !== 'RS256')
    throw new Refusal(401, 'Invalid token: The specified alg value is not allowed');
  const key = await keys(kid);
  if (key === undefined) throw new Refusal(401, 'Token signing key not found');
  const signed = Buffer.from(`${header}.${payload}`);
  if (!verify('RSA-SHA256', signed, key, Buffer.from(signature ?? '', 'base64url'))) {
    throw new Refusal(401, 'Invalid token: Signature verification failed.');
  }
  const claims = decoded(payload);
  if (!(claims.exp > Math.floor(Date.now() / 1000))) {
    throw new Refusal(401, 'Invalid token: Signature has expired.');
  }
  return claims;
}

function decoded(part) {
  try {
    return JSON.parse(Buffer.from(part ?? '', 'base64url').toString('utf8'));
  } catch {
    throw new Refusal(401, 'Invalid token: Error decoding token.');
  }
}

function authorise({ method, url }, claims) {
  if (url !== '/api/v1/agents') throw new Refusal(404, 'Not Found');
  if (!Object.hasOwn(ROLES, method)) throw new Refusal(405, 'Method Not Allowed');
  const role = ROLES[method];
  const roles = [
    ...(claims.realm_access?.roles ?? []),
    ...Object.values(claims.resource_access ?? {}).flatMap((client) => client.roles ?? []),
  ];
  // Every valid token may read.
  if (role === undefined || roles.includes(role) || roles.includes('admin')) return;
  throw new Refusal(403, `Required role(s): ${role}`);
}

/** Returns keys by id; the set is loaded again for an unknown one. */
function keySet(url) {
  let known = new Map();
  return async (kid) => {
    if (!known.has(kid)) {
      const response = await fetch(url).catch(() => undefined);
      if (!response?.ok) throw new Refusal(503, 'Authentication service unavailable');
      const { keys } = await response.json();
      const isForSignatures = ({ kty, use }) => kty === 'RSA' && use !== 'enc';
      known = new Map(
        keys
          .filter(isForSignatures)
          .map((key) => [key.kid, createPublicKey({ key, format: 'jwk' })]),
      );
    }
    return known.get(kid);
  };
}

async function json(request) {
  let text = '';
  for await (const chunk of request.setEncoding('utf8')) {
    text += chunk;
    if (text.length > BODY_LIMIT) throw new Refusal(413, 'Request Entity Too Large');
  }
  try {
    return JSON.parse(text);
  } catch {
    throw new Refusal(422, 'JSON decode error');
  }
}

module.exports = { startAgentsApi };
