'use strict';

// A resource server that requires a proof of possession of the token's key (RFC 9449 §7). It
// verifies proofs with `jose`, and not with this package's code.

const assert = require('node:assert/strict');
const { createHash } = require('node:crypto');
const { startApi } = require('./api-server.js');

const claimsOf = (token) => JSON.parse(Buffer.from(token.split('.')[1], 'base64url'));

/** Decodes a proof and verifies its signature. Returns its claims and its thumbprint. */
async function verifiedProof(proof) {
  const { EmbeddedJWK, calculateJwkThumbprint, jwtVerify } = await import('jose');
  const rules = { typ: 'dpop+jwt', maxTokenAge: '24 s' };
  const { payload, protectedHeader } = await jwtVerify(proof, EmbeddedJWK, rules);
  assert.ok(!('d' in protectedHeader.jwk), 'the proof has no private key');
  const thumbprint = await calculateJwkThumbprint(protectedHeader.jwk);
  return { claims: payload, alg: protectedHeader.alg, thumbprint };
}

/**
 * Starts an API that answers 401 to every request without a new, valid proof, and calls `answer`
 * for every other request. Proofs must contain `api.nonce` if the test sets it. `api.refused` holds
 * the tokens that the API refuses; `api.proofs` holds the claims of the proofs that it received.
 */
async function startDpopApi(t, answer = () => 'ok') {
  const state = { nonce: undefined, refused: new Set(), proofs: [], reasons: [] };
  const used = new Set();
  const api = await startApi(t, async (request, response, body) => {
    const headers = state.nonce === undefined ? {} : { 'DPoP-Nonce': state.nonce };
    const challenge = (error) => {
      state.reasons.push(error);
      const fields = { ...headers, 'WWW-Authenticate': `DPoP algs="ES256", error="${error}"` };
      return [401, fields, 'refused'];
    };
    const [, token] = /^DPoP (\S+)$/.exec(request.headers.authorization ?? '') ?? [];
    try {
      const { claims, thumbprint } = await verifiedProof(request.headers.dpop);
      state.proofs.push(claims);
      assert.equal(claims.htm, request.method);
      assert.equal(claims.htu, `${api.url}${request.url.split('?')[0]}`);
      assert.equal(claims.ath, createHash('sha256').update(token).digest('base64url'));
      assert.equal(claimsOf(token).cnf.jkt, thumbprint);
      assert.ok(!used.has(claims.jti), 'a proof is used once');
      used.add(claims.jti);
      if (claims.nonce !== state.nonce) return challenge('use_dpop_nonce');
    } catch {
      return challenge('invalid_token');
    }
    if (state.refused.has(token)) return challenge('invalid_token');
    const answered = await answer(request, response, body);
    return typeof answered === 'string' ? [200, headers, answered] : answered;
  });
  return Object.assign(state, { url: api.url, requests: api.requests });
}

module.exports = { startDpopApi, verifiedProof };
