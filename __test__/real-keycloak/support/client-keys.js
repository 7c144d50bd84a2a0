/**
 * Credentials of clients of a real Keycloak other than secrets: keys, and a small server that
 * publishes the public ones for Keycloak, as an issuer of assertions does.
 */
'use strict';

const { createPrivateKey, generateKeyPairSync, randomUUID, sign } = require('node:crypto');
const http = require('node:http');

const { listen } = require('../../support/listen');

const KINDS = {
  RS256: () => generateKeyPairSync('rsa', { modulusLength: 2048 }),
  PS256: () => generateKeyPairSync('rsa', { modulusLength: 2048 }),
  ES256: () => generateKeyPairSync('ec', { namedCurve: 'P-256' }),
  EdDSA: () => generateKeyPairSync('ed25519'),
};

/** A key for an algorithm: its private half as PEM and as a JWK, its public half for a server. */
function makeKey(algorithm, kid) {
  const { privateKey, publicKey } = KINDS[algorithm]();
  const named = kid === undefined ? {} : { kid };
  const { crv, e, kty, n, x, y } = publicKey.export({ format: 'jwk' });
  return {
    pem: privateKey.export({ type: 'pkcs8', format: 'pem' }),
    jwk: { ...privateKey.export({ format: 'jwk' }), ...named },
    public: { crv, e, kty, n, x, y, alg: algorithm, use: 'sig', ...named },
  };
}

/** Members of a client that authenticates with this key. */
function clientOf(algorithm, key, attributes = {}) {
  return {
    clientAuthenticatorType: 'client-jwt',
    attributes: {
      'use.jwks.string': 'true',
      'jwks.string': JSON.stringify({ keys: [key.public] }),
      'token.endpoint.auth.signing.alg': algorithm,
      ...attributes,
    },
  };
}

/**
 * An issuer of assertions that the test stops. Its keys are at `jwksUrl`; `bundleUrl` has them as
 * SPIFFE does. `issue(claims)` signs.
 */
async function startAssertionIssuer() {
  const kid = randomUUID();
  const key = makeKey('RS256', kid);
  let url;
  const documents = {
    '/.well-known/openid-configuration': () => ({ issuer: url, jwks_uri: `${url}/keys` }),
    '/keys': () => ({ keys: [key.public] }),
    '/bundle': () => ({ keys: [{ ...key.public, use: 'jwt-svid' }] }),
  };
  const server = http.createServer((request, response) => {
    const document = documents[request.url];
    response.writeHead(document ? 200 : 404, { 'content-type': 'application/json' });
    response.end(JSON.stringify(document?.() ?? {}));
  });
  const listening = await listen(undefined, server);
  url = listening.url;

  function issue(claims) {
    const now = Math.floor(Date.now() / 1000);
    const head = { alg: 'RS256', kid, typ: 'JWT' };
    const body = { iat: now, exp: now + 300, jti: randomUUID(), ...claims };
    const signed = [head, body]
      .map((part) => Buffer.from(JSON.stringify(part)).toString('base64url'))
      .join('.');
    const signature = sign('sha256', Buffer.from(signed), createPrivateKey(key.pem));
    return `${signed}.${signature.toString('base64url')}`;
  }

  return {
    url,
    jwksUrl: `${url}/keys`,
    bundleUrl: `${url}/bundle`,
    issue,
    close: listening.stop,
  };
}

module.exports = { clientOf, makeKey, startAssertionIssuer };
