'use strict';

// A minimal token endpoint. The endpoint of `lib/testing` signs each token, which takes longer than
// the measured exchange. This endpoint checks no secret, and its tokens, which are as long as
// Keycloak's, have an invalid signature.

const http = require('node:http');
const https = require('node:https');
const { randomBytes } = require('node:crypto');
const { once } = require('node:events');
const { serve } = require('../remote.js');

const SIGNATURE = randomBytes(256).toString('base64url');
const HEADER = encode({ alg: 'RS256', typ: 'JWT', kid: randomBytes(32).toString('base64url') });
/** A rival's cache finds its token by the scope that is not one of OpenID. */
const GRANTED_SCOPE = 'bench profile email';
const IDLE_CONNECTION_MS = 120_000;

const counts = { requests: 0, connections: 0, tls: [] };

function encode(value) {
  return Buffer.from(JSON.stringify(value)).toString('base64url');
}

/** About 1.3 KB, like the token of a service account with a few roles in Keycloak. */
function makeToken(expiresIn) {
  const iat = Math.floor(Date.now() / 1000);
  const claims = {
    exp: iat + expiresIn,
    iat,
    jti: `trrtcc:${counts.requests}`,
    iss: 'http://127.0.0.1/realms/bench',
    aud: 'account',
    sub: '5f0ae2a4-5f5e-4a5b-9c4e-2f3f0a1b7c11',
    typ: 'Bearer',
    azp: 'bench',
    acr: '1',
    'allowed-origins': ['/*'],
    realm_access: { roles: ['default-roles-bench', 'offline_access', 'uma_authorization'] },
    resource_access: { account: { roles: ['manage-account', 'view-profile'] } },
    scope: GRANTED_SCOPE,
    clientHost: '127.0.0.1',
    email_verified: false,
    preferred_username: 'service-account-bench',
    clientAddress: '127.0.0.1',
    client_id: 'bench',
  };
  return `${HEADER}.${encode(claims)}.${SIGNATURE}`;
}

/** Starts the endpoint and returns its URL. */
async function start({ expiresIn = 3600, delayMs = 0, closeConnections = false, tls }) {
  const handle = (request, response) => {
    counts.requests += 1;
    request.resume().on('end', () => {
      if (delayMs > 0) setTimeout(answer, delayMs, response);
      else answer(response);
    });
  };
  const answer = (response) => {
    const body = JSON.stringify({
      access_token: makeToken(expiresIn),
      expires_in: expiresIn,
      refresh_expires_in: 0,
      token_type: 'Bearer',
      'not-before-policy': 0,
      scope: GRANTED_SCOPE,
    });
    response.writeHead(200, {
      'Content-Type': 'application/json',
      'Content-Length': Buffer.byteLength(body),
      ...(closeConnections ? { Connection: 'close' } : {}),
    });
    response.end(body);
  };
  const server = tls ? https.createServer(tls, handle) : http.createServer(handle);
  server.keepAliveTimeout = IDLE_CONNECTION_MS;
  server.on(tls ? 'secureConnection' : 'connection', (socket) => {
    counts.connections += 1;
    const version = socket.getProtocol?.();
    if (version !== undefined && !counts.tls.includes(version)) counts.tls.push(version);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return `${tls ? 'https' : 'http'}://127.0.0.1:${server.address().port}/token`;
}

serve({ start, counts: () => counts });
