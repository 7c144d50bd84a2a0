'use strict';

// DPoP (RFC 9449) for requests to resource servers. Native code keeps the key and signs the proofs;
// this file provides the URL, the method and the server's nonce for each proof.

const { KeycloakTokenError, badRequest } = require('./error.js');

/** The methods that `fetch` converts to upper case. */
const NORMALISED = new Set(['DELETE', 'GET', 'HEAD', 'OPTIONS', 'POST', 'PUT']);
const METHOD = /^[\w!#$%&'*+.^`|~-]+$/;
/** RFC 9449 §8.1: visible characters except `"` and `\`. */
const NONCE = /^[\x21\x23-\x5b\x5d-\x7e]{1,2048}$/;
const PROTOCOLS = { 'http:': 'http:', 'https:': 'https:', 'ws:': 'http:', 'wss:': 'https:' };
const MEMBERS = ['method', 'url', 'token', 'nonce'];

/** The state that a manager and its derived managers share. */
class DpopState {
  /** The last nonce of each origin. */
  nonces = new Map();
  /**
   * Whether the manager requests bound tokens. If it does not, it may still hold a bound token from
   * an earlier request.
   */
  isRequested = false;
  isClosed = false;
}

class Dpop {
  #state;
  #sign;

  /**
   * @param {DpopState} state
   * @param {(method: string, uri: string, token: string, nonce?: string) => string | null} sign
   * returns `null` for a bearer token
   */
  constructor(state, sign) {
    this.#state = state;
    this.#sign = sign;
  }

  get isRequested() {
    return this.#state.isRequested;
  }

  /**
   * Returns the headers that present a token.
   *
   * @param {URL} url
   */
  headersFor(method, url, token) {
    const proof = this.#proof(method, url, token, undefined);
    return proof === null
      ? { Authorization: `Bearer ${token}` }
      : { Authorization: `DPoP ${token}`, DPoP: proof };
  }

  /** Returns a proof for a request that other code sends. */
  proofFor(options) {
    if (this.#state.isClosed) throw failure('CLOSED', 'the token manager is closed');
    if (options === null || typeof options !== 'object') {
      throw badRequest('dpopProof: expected an object with method, url and token');
    }
    const unknown = Object.keys(options).find((name) => !MEMBERS.includes(name));
    if (unknown !== undefined) throw badRequest(`${JSON.stringify(unknown)}: no such option`);
    const { method, url, token, nonce } = options;
    checkMethod(method);
    if (typeof token !== 'string' || !/^[\x21-\x7e]+$/.test(token)) {
      throw badRequest('token: expected the access token that the request carries');
    }
    if (nonce !== undefined && (typeof nonce !== 'string' || !NONCE.test(nonce))) {
      throw badRequest('nonce: expected the value of a DPoP-Nonce header');
    }
    const proof = this.#proof(method, httpUrlOf(url), token, nonce);
    if (proof !== null) return proof;
    throw badRequest(
      'token: the token is not bound to a key, because the manager acquired it before dpop was set; ' +
        'send it with the scheme Bearer',
    );
  }

  #proof(method, { origin, pathname }, token, nonce) {
    const last = nonce ?? this.#state.nonces.get(origin);
    return this.#sign(normalised(method), origin + pathname, token, last);
  }

  /** Remembers the nonce in a response. Returns whether the response demands a proof with it. */
  learnNonce({ status }, header, { origin }) {
    const nonce = header('dpop-nonce');
    if (nonce === null || !NONCE.test(nonce)) return false;
    this.#state.nonces.set(origin, nonce);
    return status === 401 && /\berror="?use_dpop_nonce\b/i.test(header('www-authenticate') ?? '');
  }
}

/** Returns the method that `fetch` sends. */
function normalised(method) {
  const upper = method.toUpperCase();
  return NORMALISED.has(upper) ? upper : method;
}

function checkMethod(method) {
  if (typeof method !== 'string' || !METHOD.test(method)) {
    throw badRequest('method: expected the HTTP method of the request');
  }
}

/**
 * Parses the URL of a request. A WebSocket begins as an HTTP request, whose URL has the scheme http
 * or https (RFC 6455 §4.1).
 *
 * @param {string | URL} address
 * @param {URL} [base]
 */
function httpUrlOf(address, base) {
  const text = address?.[Symbol.toStringTag] === 'URL' ? address.href : address;
  if (typeof text === 'string' && URL.canParse(text, base?.href)) {
    const url = new URL(text, base);
    const protocol = PROTOCOLS[url.protocol];
    if (protocol !== undefined) {
      url.protocol = protocol;
      return url;
    }
  }
  const expected = base === undefined ? 'an absolute http, https, ws or wss URL' : 'a valid URL';
  throw badRequest(`url: expected ${expected}`);
}

/**
 * The implementation of `manager.dpopProof`.
 *
 * @param {Dpop} [dpop]
 */
function dpopProof(dpop, options) {
  if (dpop?.isRequested) return dpop.proofFor(options);
  throw failure('CONFIG', 'dpopProof: the option dpop is not set; set dpop: true');
}

function failure(kind, message) {
  return new KeycloakTokenError({ code: `ERR_KEYCLOAK_${kind}`, message, retryable: false });
}

module.exports = { Dpop, DpopState, checkMethod, dpopProof, httpUrlOf };
