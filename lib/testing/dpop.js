'use strict';

// Verifies DPoP proofs (RFC 9449) as Keycloak 26 does, in the same order and with the same texts.

const crypto = require('node:crypto');
const { now } = require('./tokens.js');

/** The maximum age of a proof, and how far the client's clock may be ahead, both in seconds. */
const OLDEST_S = 24;
const AHEAD_S = 15;

const ecdsa = (hash) => ({ hash, options: { dsaEncoding: 'ieee-p1363' } });
const rsa = (hash) => ({ hash, options: {} });
const pss = (hash) => ({
  hash,
  options: {
    padding: crypto.constants.RSA_PKCS1_PSS_PADDING,
    saltLength: crypto.constants.RSA_PSS_SALTLEN_DIGEST,
  },
});
const ALGORITHMS = {
  ES256: ecdsa('sha256'),
  ES384: ecdsa('sha384'),
  ES512: ecdsa('sha512'),
  RS256: rsa('sha256'),
  RS384: rsa('sha384'),
  RS512: rsa('sha512'),
  PS256: pss('sha256'),
  PS384: pss('sha384'),
  PS512: pss('sha512'),
  EdDSA: { hash: null, options: {} },
};

/** The members of a public key that its thumbprint covers, in order (RFC 7638 §3.2). */
const MEMBERS = { EC: ['crv', 'kty', 'x', 'y'], OKP: ['crv', 'kty', 'x'], RSA: ['e', 'kty', 'n'] };
const PRIVATE_MEMBERS = ['d', 'p', 'q', 'dp', 'dq', 'qi'];

/** The error for a refused proof. */
class ProofRefusal extends Error {
  constructor(description, { status = 400, error = 'invalid_request' } = {}) {
    super(description);
    this.status = status;
    this.error = error;
  }
}

function thumbprint(jwk) {
  const members = Object.fromEntries(MEMBERS[jwk.kty].map((name) => [name, jwk[name]]));
  return crypto.createHash('sha256').update(JSON.stringify(members)).digest('base64url');
}

function json(part) {
  return JSON.parse(Buffer.from(part, 'base64url').toString());
}

/** Decodes a proof without verifying it; `undefined` if it is not a JWT. */
function readProof(header) {
  const parts = typeof header === 'string' ? header.split('.') : [];
  if (parts.length !== 3) return undefined;
  try {
    const [head, claims] = parts.slice(0, 2).map(json);
    const isKey = Object.hasOwn(MEMBERS, head.jwk?.kty ?? '');
    return { alg: head.alg, thumbprint: isKey ? thumbprint(head.jwk) : undefined, claims };
  } catch {
    return undefined;
  }
}

/** Verifies the proofs for one endpoint, which accepts each proof only once. */
class ProofVerifier {
  /**
   * The time until which the verifier remembers a used proof, keyed by the proof's `jti` and `htu`.
   */
  #used = new Map();

  /**
   * Returns the thumbprint of a proof's key.
   *
   * @param {string} proof
   * @param {{ url: string, nonce: string | undefined }} expected
   * @throws {ProofRefusal}
   */
  verify(proof, { url, nonce }) {
    const { header, claims } = signedParts(proof);
    const age = Math.floor(now() / 1000) - claims.iat;
    if (['jti', 'iat', 'htm', 'htu'].some((name) => claims[name] === undefined)) {
      throw new ProofRefusal('DPoP mandatory claims are missing');
    }
    if (claims.htm !== 'POST') throw new ProofRefusal('DPoP HTTP method mismatch');
    if (!URL.canParse(claims.htu)) throw new ProofRefusal('Malformed HTTP URL in DPoP proof');
    if (claims.htu.split(/[?#]/)[0] !== url) throw new ProofRefusal('DPoP HTTP URL mismatch');
    if (age === OLDEST_S + 1) {
      const text = 'For more on this error consult the server log.';
      throw new ProofRefusal(text, { status: 500, error: 'unknown_error' });
    }
    if (!(age <= OLDEST_S && age >= -AHEAD_S)) throw new ProofRefusal('DPoP proof is not active');
    if (nonce !== undefined && claims.nonce !== nonce) {
      const text = 'Authorization server requires nonce in DPoP proof';
      throw new ProofRefusal(text, { error: 'use_dpop_nonce' });
    }
    this.#use(`${claims.jti} ${url}`);
    return thumbprint(header.jwk);
  }

  #use(proof) {
    const at = now();
    for (const [other, until] of this.#used) if (until < at) this.#used.delete(other);
    if (this.#used.has(proof)) throw new ProofRefusal('DPoP proof has already been used');
    this.#used.set(proof, at + (OLDEST_S + AHEAD_S + 1) * 1000);
  }
}

function signedParts(proof) {
  const [head, payload, signature, ...rest] = proof.split('.');
  let header;
  let claims;
  try {
    [header, claims] = [json(head), json(payload)];
  } catch {
    // The parts are not JSON, so the check below refuses the proof.
  }
  if (claims === undefined || signature === undefined || rest.length > 0) {
    throw new ProofRefusal('DPoP header verification failure');
  }
  if (header.typ !== 'dpop+jwt') {
    throw new ProofRefusal(`Invalid or missing type in DPoP header: ${header.typ}`);
  }
  if (!Object.hasOwn(ALGORITHMS, header.alg)) {
    throw new ProofRefusal(`Unsupported DPoP algorithm: ${header.alg}`);
  }
  if (header.jwk === undefined) throw new ProofRefusal('No JWK in DPoP header');
  if (PRIVATE_MEMBERS.some((name) => name in header.jwk)) {
    throw new ProofRefusal('Private key material must not be present in DPoP JWK');
  }
  const { hash, options } = ALGORITHMS[header.alg];
  let isValid = false;
  try {
    const key = { key: header.jwk, format: 'jwk', ...options };
    const bytes = Buffer.from(signature, 'base64url');
    isValid = crypto.verify(hash, Buffer.from(`${head}.${payload}`), key, bytes);
  } catch {
    // The key does not fit the algorithm.
  }
  if (!isValid) {
    throw new ProofRefusal(
      'DPoP verification failure: org.keycloak.exceptions.TokenSignatureInvalidException: ' +
        'Invalid token signature',
    );
  }
  return { header, claims };
}

module.exports = { ALGORITHMS, ProofRefusal, ProofVerifier, readProof };
