'use strict';

// A minimal token endpoint. The endpoint of `lib/testing` signs each token, which takes longer than
// the measured exchange. This endpoint checks no secret, and its tokens, which are as long as
// Keycloak's, have an invalid signature.

const http = require('node:http');
const https = require('node:https');
const { randomBytes } = require('node:crypto');
const { once } = require('node:events');
const { serve } = require('../remote.js');

/** One rival's cache looks up a token by the scope here that OpenID Connect does not define. */
const GRANTED_SCOPE = 'bench profile email';
const IDLE_CONNECTION_MS = 120_000;
/**
 * With these roles, a token is as long as that of a service account with a few roles: about 1.3 KB.
 */
const ROLES = 'manage-account view-profile '.repeat(23);
const SIGNATURE = randomBytes(256).toString('base64url');

const counts = { requests: 0, connections: 0, tls: [] };
const encode = (value) => Buffer.from(JSON.stringify(value)).toString('base64url');

function makeToken(expiresIn) {
  const iat = Math.floor(Date.now() / 1000);
  const claims = { exp: iat + expiresIn, iat, jti: `${counts.requests}`, roles: ROLES };
  return `${encode({ alg: 'RS256', typ: 'JWT' })}.${encode(claims)}.${SIGNATURE}`;
}

/** Starts the endpoint and returns its URL. */
async function start({ expiresIn = 3600, delayMs = 0, closeConnections = false, tls }) {
  const handle = (request, response) => {
    counts.requests += 1;
    request.resume().on('end', () => {
      // The endpoint verifies no proof, because the verification would take most of a call's time.
      const tokenType = request.headers.dpop === undefined ? 'Bearer' : 'DPoP';
      if (delayMs > 0) setTimeout(answer, delayMs, response, tokenType);
      else answer(response, tokenType);
    });
  };
  const answer = (response, tokenType) => {
    const body = JSON.stringify({
      access_token: makeToken(expiresIn),
      expires_in: expiresIn,
      refresh_expires_in: 0,
      token_type: tokenType,
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
