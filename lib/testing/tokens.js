'use strict';

// Creates signed access tokens like Keycloak's, which a resource server can verify.

const crypto = require('node:crypto');
const { promisify } = require('node:util');

// This module saves the clock when it loads, before a test replaces it, because native code uses
// the real clock.
const { now } = Date;

/** The number of bytes of the JSON around the value of the padding claim. */
const PADDING_FRAME_BYTES = ',"padding":""'.length;

let made;

/**
 * Returns the key pair of this process. Only the first call creates it, because creating an RSA key
 * is slow.
 */
function signingKey() {
  made ??= makeKey();
  return made;
}

async function makeKey() {
  // Exporting a generated key as a JSON Web Key can deadlock Node 20: the garbage collector may
  // free the job that generated the key, and both the export and the job take the key's lock. No
  // such job exists for a key that Node reads from PEM.
  const pair = await promisify(crypto.generateKeyPair)('rsa', {
    modulusLength: 2048,
    publicKeyEncoding: { type: 'spki', format: 'pem' },
    privateKeyEncoding: { type: 'pkcs8', format: 'pem' },
  });
  const privateKey = crypto.createPrivateKey(pair.privateKey);
  const publicKey = crypto.createPublicKey(pair.publicKey);
  const { kty, n, e } = publicKey.export({ format: 'jwk' });
  // RFC 7638 §3 requires these members, in this order, without whitespace.
  const kid = crypto.createHash('sha256').update(JSON.stringify({ e, kty, n })).digest('base64url');
  return { privateKey, publicKey, kid, jwk: { kid, kty, alg: 'RS256', use: 'sig', n, e } };
}

function encode(value) {
  return Buffer.from(JSON.stringify(value)).toString('base64url');
}

function sign(claims, { privateKey, kid }) {
  const text = `${encode({ alg: 'RS256', typ: 'JWT', kid })}.${encode(claims)}`;
  return `${text}.${crypto.sign('sha256', Buffer.from(text), privateKey).toString('base64url')}`;
}

/**
 * Returns the claims of a token that this key has signed and that has not expired; `undefined` for
 * any other text.
 */
function readToken(token, { publicKey }) {
  const [header, payload, signature, ...more] = token.split('.');
  if (signature === undefined || more.length > 0) return undefined;
  const text = Buffer.from(`${header}.${payload}`);
  const isSigned = crypto.verify('sha256', text, publicKey, Buffer.from(signature, 'base64url'));
  if (!isSigned) return undefined;
  const claims = JSON.parse(Buffer.from(payload, 'base64url'));
  return claims.exp * 1000 > now() ? claims : undefined;
}

/**
 * Returns a UUID that is always the same for a client, like the id of the client's service account.
 */
function serviceAccountId(clientId) {
  const hex = crypto.createHash('sha256').update(clientId).digest('hex');
  return [
    hex.slice(0, 8),
    hex.slice(8, 12),
    hex.slice(12, 16),
    hex.slice(16, 20),
    hex.slice(20, 32),
  ].join('-');
}

/**
 * Returns the claims of a service account's token, or of a token for the user of a subject token.
 *
 * @param {{ issuer: string, roles: readonly string[] }} realm
 * @param {{ clientId: string, scope: string, expiresIn: number, jkt?: string, subject?: object,
 *   audience?: string[] }} grant
 */
function makeClaims({ issuer, roles }, { clientId, scope, expiresIn, jkt, subject, audience }) {
  const iat = Math.floor(now() / 1000);
  const type = {
    typ: jkt === undefined ? 'Bearer' : 'DPoP',
    ...(jkt !== undefined && { cnf: { jkt, 'kc-jkt-type': 'DPoP' } }),
  };
  if (subject !== undefined) {
    return {
      exp: iat + expiresIn,
      iat,
      jti: `ntrtte:${crypto.randomUUID()}`,
      iss: issuer,
      aud: audience.length > 1 ? audience : audience[0],
      sub: subject.sub,
      ...type,
      azp: clientId,
      realm_access: { roles },
      scope,
      preferred_username: subject.preferred_username,
    };
  }
  return {
    exp: iat + expiresIn,
    iat,
    jti: `trrtcc:${crypto.randomUUID()}`,
    iss: issuer,
    aud: 'account',
    sub: serviceAccountId(clientId),
    ...type,
    azp: clientId,
    acr: '1',
    realm_access: { roles },
    resource_access: {
      account: { roles: ['manage-account', 'manage-account-links', 'view-profile'] },
    },
    scope,
    clientHost: '127.0.0.1',
    email_verified: false,
    preferred_username: `service-account-${clientId}`,
    clientAddress: '127.0.0.1',
    client_id: clientId,
  };
}

/**
 * Creates a token from claims and signs it. Pads a token that is shorter than `size` bytes to about
 * that size.
 */
function makeToken(claims, key, size) {
  const token = sign(claims, key);
  // Four characters of Base64 encode three bytes.
  const padding = Math.floor(((size - token.length) * 3) / 4) - PADDING_FRAME_BYTES;
  return padding > 0 ? sign({ ...claims, padding: 'x'.repeat(padding) }, key) : token;
}

module.exports = { makeClaims, makeToken, now, readToken, signingKey };
