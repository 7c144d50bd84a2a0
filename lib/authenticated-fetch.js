'use strict';

// The policy of `manager.fetch`: the origin that receives tokens, the reaction to a 401, and the
// redirects to follow. `outgoing-request.js` builds the requests; native code decides when to drop
// a token.

const { cancel, readerOf, unreadBody } = require('./body.js');
const { asksForToken } = require('./challenge.js');
const { KeycloakTokenError, badRequest } = require('./error.js');
const { OutgoingRequest, REDIRECTS, headerOf } = require('./outgoing-request.js');
const { setTimeout, clearTimeout } = require('./timers.js');

// The limit of the Fetch standard.
const MOST_REDIRECTS = 20;
const TOO_MANY_REDIRECTS = 'redirect: more than 20 redirects; check the API for a redirect loop';
const NO_RESOURCE =
  'fetch: the option resource is not set; set resource.baseUrl to the URL of the API';
const NO_RESPONSE =
  'fetch: the fetch function returned no Response; correct resource.fetch, or the global fetch';
// The maximum number of bytes that `fetch` reads from an unused body, to make the connection
// reusable.
const DRAINED_BYTES = 256 * 1024;
const SMALLEST_CHUNK_BYTES = 1_024;
const DRAINED_MS = 1000;
// If a route accepted the token within this time, `fetch` assumes that a 401 for the token comes
// from one of several replicas.
const ACCEPTED_MS = 60_000;
const MOST_ROUTES = 256;

/**
 * Creates the `fetch` function for one manager and one resource.
 *
 * @param {object} parts
 * @param {import('..').KeycloakTokenManager} parts.manager
 * @param {import('..').ResourceOptions} [parts.resource]
 * @param {() => string} parts.server returns a URL of the authorization server
 * @param {Routes} parts.routes the routes of the manager
 * @param {() => import('./dpop.js').Dpop | undefined} parts.dpop returns the object that presents
 * bound tokens; `undefined` if no configuration has requested them
 * @param {() => boolean} parts.isCurrent whether the manager still sends tokens to this origin
 * @param {typeof fetch} parts.again repeats a call that began with an earlier configuration
 * @returns {typeof fetch} takes a copy of `init`, which it may change
 */
function makeFetch({ manager, resource, server, routes, dpop, isCurrent, again }) {
  let settings;
  return async (input, init) => {
    settings ??= settingsOf(resource, server);
    const request = new OutgoingRequest(input, init, settings);
    // A redirect to a login page is a rejection by the original route, even after other redirects.
    const { route, isSafe } = request;
    let token = await manager.getToken(request.tokenOptions);
    // The configuration changed during the wait, so the token is for another origin.
    if (!isCurrent()) return again(request.input, request.init);
    let hasRetried = false;
    let hasSentNonce = false;
    let redirects = 0;
    try {
      for (;;) {
        // Each request looks up the global `fetch`, so that a replacement takes effect.
        const bound = dpop();
        const response = await request.send(resource.fetch ?? globalThis.fetch, token, bound);
        if (typeof response?.status !== 'number') throw configFault(NO_RESPONSE);
        const header = (name) => headerOf(response, name);
        const wantsNonce = bound?.learnNonce(response, header, request.url) ?? false;
        if (wantsNonce && !hasSentNonce && request.isReplayable && isCurrent()) {
          hasSentNonce = true;
          await drain(response);
          continue;
        }
        const loginPage = request.loginPageOf(response);
        if (loginPage !== undefined || isAboutToken(response)) {
          const outcome = routes.rejected(token, loginPage ? route : request.route);
          const mayRepeat = request.isReplayable && (loginPage === undefined || isSafe);
          if (outcome === 'kept' || hasRetried || !mayRepeat || !isCurrent()) {
            if (loginPage === undefined) return response;
            cancel(unreadBody(response));
            throw loginPage;
          }
          hasRetried = true;
          hasSentNonce = false;
          if (outcome !== 'repeat') {
            token = await orCancel(response, () => manager.getToken(request.tokenOptions));
            if (!isCurrent()) return response;
          }
          if (loginPage) request.restart();
        } else if (request.follows && REDIRECTS.has(response.status)) {
          const location = headerOf(response, 'location');
          if (location === null) return response;
          await orCancel(response, () => {
            redirects += 1;
            hasSentNonce = false;
            if (redirects > MOST_REDIRECTS) throw badRequest(TOO_MANY_REDIRECTS);
            request.redirect(response.status, location);
          });
        } else {
          if (response.ok || response.status === 403) routes.accepted(token, request.route);
          return response;
        }
        await drain(response);
      }
    } finally {
      request.release();
    }
  };
}

/**
 * Tells native code which routes accept or reject a token, and detects a rejection by one of
 * several replicas.
 */
class Routes {
  /** The token that each route accepted last, and the time. The oldest entry comes first. */
  #accepted = new Map();
  /** Routes that have rejected a token, so that their acceptances matter. */
  #troubled = new Set();
  #reject;
  #accept;

  /**
   * @param {(token: string, route: string) => 'dropped' | 'kept' | 'ignored'} reject
   * @param {(token: string, route: string) => boolean} accept returns whether the next acceptance
   *   matters
   */
  constructor(reject, accept) {
    this.#reject = reject;
    this.#accept = accept;
  }

  /** Forgets all tokens. */
  clear() {
    this.#accepted.clear();
    this.#troubled.clear();
  }

  /**
   * Reports a rejection. `repeat` means that one of several replicas rejected the token, so the
   * caller sends the request once more.
   */
  rejected(token, route) {
    const last = this.#accepted.get(route);
    limit(this.#troubled).add(route);
    const outcome = this.#reject(token, route);
    const wasAccepted = last?.token === token && performance.now() - last.at < ACCEPTED_MS;
    return outcome === 'kept' && wasAccepted ? 'repeat' : outcome;
  }

  accepted(token, route) {
    this.#accepted.delete(route);
    limit(this.#accepted).set(route, { token, at: performance.now() });
    if (this.#troubled.has(route) && !this.#accept(token, route)) this.#troubled.delete(route);
  }
}

function limit(collection) {
  if (collection.size >= MOST_ROUTES) collection.delete(collection.keys().next().value);
  return collection;
}

/** Errors that a new token does not remedy. */
const OTHER_ERRORS = /\b(insufficient_user_authentication|invalid_dpop_proof|use_dpop_nonce)\b/;

/** Whether a 401 rejects the token, rather than requiring another kind of authentication. */
function isAboutToken(response) {
  if (response.status !== 401) return false;
  const challenges = headerOf(response, 'www-authenticate') ?? '';
  if (OTHER_ERRORS.test(challenges)) return false;
  return /\berror="?invalid_token/i.test(challenges) || asksForToken(challenges);
}

function configFault(message) {
  return new KeycloakTokenError({ code: 'ERR_KEYCLOAK_CONFIG', message, retryable: false });
}

function settingsOf(resource, server) {
  if (resource === undefined) throw configFault(NO_RESOURCE);
  const base = baseOf(resource);
  const issuerOrigin = () => new URL(server()).origin;
  return { base, origin: base.origin, issuerOrigin, userHeader: resource.userHeader };
}

/** Returns the base URL with a slash at the end. Parses it only once per configuration. */
function baseOf(resource) {
  if (resource.base === undefined) {
    resource.base = new URL(resource.baseUrl);
    if (!resource.base.pathname.endsWith('/')) resource.base.pathname += '/';
  }
  return resource.base;
}

/** Runs a step between two requests. If the step fails, discards the unread response. */
async function orCancel(response, step) {
  try {
    return await step();
  } catch (error) {
    cancel(unreadBody(response));
    throw error;
  }
}

/**
 * Reads the rest of a body. Never throws, because the next request does not depend on this body.
 */
async function drain(response) {
  let timer;
  try {
    const reader = readerOf(unreadBody(response));
    timer = setTimeout(cancel, DRAINED_MS, reader);
    for (let left = DRAINED_BYTES; left > 0; ) {
      const { done, value } = await reader.read();
      if (done) return;
      // Timers do not run while chunks are available immediately, so even an empty chunk counts.
      left -= Math.max(SMALLEST_CHUNK_BYTES, value?.byteLength ?? DRAINED_BYTES);
    }
    cancel(reader);
  } catch {
    // `fetch` cannot reuse a broken connection anyway.
  } finally {
    clearTimeout(timer);
  }
}

/** Returns the origin that receives tokens; `undefined` without a resource. */
function originOf(resource) {
  return resource === undefined ? undefined : baseOf(resource).origin;
}

module.exports = { Routes, baseOf, makeFetch, originOf };
