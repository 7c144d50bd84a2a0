'use strict';

// A token endpoint that tests can script. `keycloak.js` produces Keycloak's answers, and
// `faults.js` breaks them.

const { setMaxListeners } = require('node:events');
const { setTimeout: delay } = require('node:timers/promises');
const { isUint8Array } = require('node:util/types');
const { checkAnswer, checkAnswerSource, checkOptions, checks } = require('./check.js');
const { ProofRefusal, ProofVerifier } = require('./dpop.js');
const { SILENT, faults } = require('./faults.js');
const keycloak = require('./keycloak.js');
const { Listener } = require('./listener.js');
const { RequestLog } = require('./request-log.js');
const { makeClaims, makeToken, readToken, signingKey } = require('./tokens.js');

const LONGEST_REQUEST_BYTES = 1_048_576;

/**
 * The error codes of a request that breaks off, and of an answer that ends early because the
 * endpoint closes.
 */
const BROKEN_OFF = new Set(['ECONNRESET', 'ERR_STREAM_PREMATURE_CLOSE', 'ABORT_ERR']);

/**
 * Reads the body of a request. Rejects if the body breaks off, and ends the connection if the body
 * is too long.
 */
async function readBody(request) {
  const chunks = [];
  let length = 0;
  for await (const chunk of request) {
    length += chunk.length;
    if (length > LONGEST_REQUEST_BYTES) request.destroy();
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString();
}

function asBytes(body) {
  if (isUint8Array(body)) return Buffer.from(body);
  return Buffer.from(typeof body === 'string' ? body : JSON.stringify(body));
}

/** Returns the answer that a script defines completely, without any part of Keycloak's answer. */
function scriptedAnswer({ body = '' }) {
  const isJson = typeof body === 'object' && !isUint8Array(body);
  return {
    status: 200,
    headers: isJson ? { 'Content-Type': 'application/json' } : {},
    body: asBytes(body),
  };
}

class FakeTokenEndpoint {
  #options;
  #key;
  #listener;
  #log = new RequestLog();
  #proofs = new ProofVerifier();

  #secrets;
  #delayMs;
  #expiresIn;
  #dpopNonce;
  #answer;
  #nextAnswers = [];
  /**
   * While the endpoint is paused: the promise that requests await, and the function that resolves
   * it.
   */
  #pause;

  #closing;
  #closed = new AbortController();
  #failures = [];
  #revoked = new Set();

  constructor(options, key) {
    this.#options = options;
    this.#key = key;
    // The endpoint may delay any number of answers at once.
    setMaxListeners(0, this.#closed.signal);
    this.#listener = new Listener(options.tls, (request, response) =>
      this.#onRequest(request, response),
    );
    this.restore();
  }

  /** Starts listening on a free port, and sets the URLs of the endpoint. */
  async start() {
    await this.#listener.open();
    this.url = this.#listener.origin;
    this.issuer = `${this.url}/realms/${this.#options.realm}`;
    const { tokenEndpoint, jwksUri, revocationEndpoint } = keycloak.realmUrls(this.issuer);
    this.tokenEndpoint = tokenEndpoint;
    this.jwksUri = jwksUri;
    this.revocationEndpoint = revocationEndpoint;
    return this;
  }

  get requests() {
    return this.#log.entries;
  }

  get revokedTokens() {
    return [...this.#revoked];
  }

  get requestCount() {
    return this.#log.entries.length;
  }

  get connectionCount() {
    return this.#listener.count;
  }

  clearRequests() {
    this.#log.clear();
  }

  waitForRequests(count) {
    const arrived = this.#waitForRequests(count);
    // A test that fails before it awaits this promise must not fail a second time.
    arrived.catch(() => {});
    return arrived;
  }

  setDelay(ms) {
    checks.delay(ms, 'ms');
    this.#delayMs = ms;
  }

  setExpiresIn(seconds) {
    checks.seconds(seconds, 'seconds');
    this.#expiresIn = seconds;
  }

  setSecret(clientId, secret) {
    checks.text(clientId, 'clientId');
    checks.text(secret, 'secret');
    this.#secrets.set(clientId, secret);
  }

  setDpopNonce(nonce) {
    if (nonce !== undefined) checks.nonce(nonce, 'nonce');
    this.#dpopNonce = nonce;
  }

  setAnswer(answer) {
    this.#answer = checkAnswerSource(answer);
  }

  answerNext(...answers) {
    this.#nextAnswers.push(...answers.map(checkAnswerSource));
  }

  restore() {
    this.#secrets = new Map(Object.entries(this.#options.clients));
    this.#delayMs = this.#options.delayMs;
    this.#expiresIn = this.#options.expiresIn;
    this.#dpopNonce = this.#options.dpopNonce;
    this.#answer = {};
    this.#nextAnswers = [];
  }

  pause() {
    if (this.#pause) return;
    let end;
    const ended = new Promise((resolve) => {
      end = resolve;
    });
    this.#pause = { ended, end };
  }

  resume() {
    this.#pause?.end();
    this.#pause = undefined;
  }

  goOffline() {
    return this.#listener.close();
  }

  async goOnline() {
    if (this.#closing) throw new Error('the endpoint is closed');
    await this.#listener.open();
  }

  issueToken(claims = {}) {
    checks.claims(claims, 'claims');
    const [clientId] = Object.keys(this.#options.clients);
    const grant = { clientId, scope: keycloak.DEFAULT_SCOPE, expiresIn: this.#expiresIn };
    return this.#issue(grant, claims);
  }

  close() {
    this.#closing ??= this.#shutDown();
    return this.#closing;
  }

  [Symbol.asyncDispose]() {
    return this.close();
  }

  async #shutDown() {
    this.#closed.abort();
    this.resume();
    this.#log.close();
    await this.#listener.close();
    if (this.#failures.length > 0) throw this.#failures[0];
  }

  async #waitForRequests(count) {
    checks.count(count, 'count');
    return this.#log.waitFor(count);
  }

  async #onRequest(request, response) {
    // The client may disconnect before the answer, which is not an error.
    response.on('error', () => {});
    response.sendDate = false;
    try {
      await this.#serve(request, response);
    } catch (error) {
      response.destroy();
      if (!BROKEN_OFF.has(error.code)) this.#failures.push(error);
    }
  }

  async #serve(request, response) {
    const body = await readBody(request);
    const [path] = request.url.split('?');
    if (request.method === 'POST' && this.url + path === this.tokenEndpoint) {
      const tokenRequest = keycloak.readTokenRequest(request.headers, body);
      const connection = this.#listener.numberOf(request);
      const entry = this.#log.add(tokenRequest, request.headers, connection);
      await this.#answerTokenRequest(tokenRequest, entry, response);
    } else if (request.method === 'POST' && this.url + path === this.revocationEndpoint) {
      const revocation = keycloak.readTokenRequest(request.headers, body);
      const answer = keycloak.answerRevocation(
        revocation,
        this.#secrets,
        (token) => this.#read(token),
        (token) => this.#revoked.add(token),
      );
      response.writeHead(answer.status, answer.headers).end(answer.body);
    } else {
      const answer = keycloak.answerOther(request.method, path, this.issuer, this.#key.jwk);
      response.writeHead(answer.status, answer.headers).end(answer.body);
    }
  }

  async #answerTokenRequest(tokenRequest, entry, response) {
    const script = await this.#script(entry);
    const delayMs = script.delayMs ?? this.#delayMs;
    if (delayMs > 0) await delay(delayMs, undefined, { signal: this.#closed.signal });
    while (this.#pause) await this.#pause.ended;
    if (response.destroyed || this.#closed.signal.aborted) return;

    const { status, headers, body } = this.#answerTo(tokenRequest, script, response.req);
    response.statusCode = status;
    for (const [name, value] of headers) response.setHeader(name, value);
    if (!SILENT.has(script.fault)) entry.status = status;
    await faults[script.fault ?? 'none'](response, {
      body,
      dripMs: script.dripMs,
      signal: this.#closed.signal,
      reset: () => this.#listener.reset(response.req),
    });
  }

  #answerTo(tokenRequest, script, request) {
    const own = this.#ownAnswer(tokenRequest, script, request);
    const nonce = this.#dpopNonce === undefined ? {} : { 'DPoP-Nonce': this.#dpopNonce };
    // Later headers replace earlier ones; names are case-insensitive.
    const headers = [nonce, own.headers, script.headers ?? {}].flatMap(Object.entries);
    return { status: script.status ?? own.status, headers, body: own.body };
  }

  #ownAnswer(tokenRequest, script, request) {
    if (script.fault === 'redirect') {
      return { status: 307, headers: { Location: this.tokenEndpoint }, body: Buffer.alloc(0) };
    }
    if (script.status !== undefined || script.body !== undefined) return scriptedAnswer(script);
    const { expiresIn = this.#expiresIn } = script;
    return keycloak.answerTokenRequest(tokenRequest, this.#secrets, expiresIn, {
      issue: (grant) => this.#issue(grant, {}),
      bind: () => this.#keyOf(request),
      read: (token) => this.#read(token),
    });
  }

  /** Returns the claims of a valid, unrevoked token that this endpoint issued. */
  #read(token) {
    if (token === null || this.#revoked.has(token)) return undefined;
    return readToken(token, this.#key);
  }

  /** Returns the thumbprint of the key whose DPoP proof a request carries. */
  #keyOf({ headers: { dpop, host }, url }) {
    const { dpop: support } = this.#options;
    if (support === 'ignored' || (!dpop && support === 'supported')) return undefined;
    if (!dpop) throw new ProofRefusal('DPoP proof is missing');
    // Keycloak expects the URL that the client called.
    const called = `${new URL(this.url).protocol}//${host}${url.split('?')[0]}`;
    return this.#proofs.verify(dpop, { url: called, nonce: this.#dpopNonce });
  }

  /** Returns the script that the test provides for this request. */
  async #script(entry) {
    const source = this.#nextAnswers.shift() ?? this.#answer;
    if (typeof source !== 'function') return source;
    try {
      return checkAnswer((await source(entry)) ?? {});
    } catch (error) {
      this.#failures.push(error);
      return {
        status: 500,
        body: 'The answer function threw an error, or returned an invalid answer.',
      };
    }
  }

  #issue(grant, claims) {
    const own = makeClaims({ issuer: this.issuer, roles: this.#options.roles }, grant);
    return makeToken({ ...own, ...claims }, this.#key, this.#options.tokenSize);
  }
}

async function startFakeTokenEndpoint(options = {}) {
  const given = checkOptions(options);
  const realm = given.realm ?? 'test';
  const settings = {
    realm,
    clients: { 'test-client': 'test-secret' },
    expiresIn: 300,
    delayMs: 0,
    roles: [`default-roles-${realm}`, 'offline_access', 'uma_authorization'],
    tokenSize: 0,
    dpop: 'supported',
    ...given,
  };
  return new FakeTokenEndpoint(settings, await signingKey()).start();
}

module.exports = { startFakeTokenEndpoint };
