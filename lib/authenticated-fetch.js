'use strict';

// The policy of `manager.fetch`: where tokens are sent, how a 401 is handled, which redirects are
// followed. `outgoing-request.js` builds the requests; native code decides when to drop a token.

const { isDisturbed } = require('node:stream');
const { KeycloakTokenError, badRequest } = require('./error.js');
const { OutgoingRequest } = require('./outgoing-request.js');

const REDIRECTS = new Set([301, 302, 303, 307, 308]);
// The limit of `fetch`.
const MOST_REDIRECTS = 20;
const TOO_MANY_REDIRECTS = 'redirect: more than 20 redirects; check the API for a redirect loop';
// Reading a body to its end lets the connection be reused.
const DRAINED_BYTES = 256 * 1024;
const DRAINED_MS = 1000;

/**
 * Creates the `fetch` function for one manager and one resource.
 *
 * @param {object} parts
 * @param {import('..').KeycloakTokenManager} parts.manager
 * @param {import('..').ResourceOptions} [parts.resource]
 * @param {(token: string) => 'dropped' | 'kept' | 'ignored'} parts.reject
 * @param {() => boolean} parts.isCurrent whether the manager still sends tokens to this origin
 */
function makeFetch({ manager, resource, reject, isCurrent }) {
  let settings;
  return async (input, init) => {
    settings ??= settingsOf(resource);
    const request = new OutgoingRequest(input, init, settings);
    let token = await manager.getToken(request.tokenOptions);
    // The configuration changed meanwhile, and the new token is for another origin.
    if (!isCurrent()) return manager.fetch(input, init);
    let hasRetried = false;
    let redirects = 0;
    for (;;) {
      // The global `fetch` is looked up for each call, so that a replacement takes effect.
      const response = await request.send(resource.fetch ?? globalThis.fetch, token);
      if (response.status === 401) {
        // A token that was kept would be rejected again.
        const isKept = reject(token) === 'kept';
        if (isKept || hasRetried || !request.isReplayable || !isCurrent()) return response;
        hasRetried = true;
        token = await orCancel(response, () => manager.getToken(request.tokenOptions));
        if (!isCurrent()) return response;
      } else if (request.follows && REDIRECTS.has(response.status)) {
        const location = response.headers.get('location');
        if (location === null) return response;
        await orCancel(response, () => {
          redirects += 1;
          if (redirects > MOST_REDIRECTS) throw badRequest(TOO_MANY_REDIRECTS);
          request.redirect(response.status, location);
        });
      } else {
        return response;
      }
      await drain(response);
    }
  };
}

function settingsOf(resource) {
  if (resource === undefined) {
    throw new KeycloakTokenError({
      code: 'ERR_KEYCLOAK_CONFIG',
      message: 'fetch: the option resource is not set; set resource.baseUrl to the URL of the API',
      retryable: false,
    });
  }
  const base = baseOf(resource);
  return { base, origin: base.origin, userHeader: resource.userHeader };
}

/** The base URL as a folder, parsed once for each configuration. */
function baseOf(resource) {
  if (resource.base === undefined) {
    resource.base = new URL(resource.baseUrl);
    if (!resource.base.pathname.endsWith('/')) resource.base.pathname += '/';
  }
  return resource.base;
}

/** Runs the step between two requests. If it fails, discards the response, which has no reader. */
async function orCancel(response, step) {
  try {
    return await step();
  } catch (error) {
    cancel(unreadBody(response));
    throw error;
  }
}

/** The body, unless `resource.fetch` has read, locked or hidden it. */
function unreadBody(response) {
  try {
    const { body, bodyUsed } = response;
    // A Node stream is flowing or paused once a consumer is attached.
    const isTaken =
      bodyUsed || body?.locked || typeof body?.readableFlowing === 'boolean' || isDisturbed(body);
    return isTaken ? undefined : body;
  } catch {
    return undefined;
  }
}

/** Never throws, because the next request does not depend on this body. */
async function drain(response) {
  let timer;
  try {
    const reader = readerOf(unreadBody(response));
    timer = setTimeout(cancel, DRAINED_MS, reader);
    for (let left = DRAINED_BYTES; left > 0; ) {
      const { done, value } = await reader.read();
      if (done) return;
      // Timers do not run while chunks are available immediately, so check after every chunk.
      left -= Math.max(1, value?.byteLength ?? DRAINED_BYTES);
    }
    cancel(reader);
  } catch {
    // A connection that breaks now would not be reused anyway.
  } finally {
    clearTimeout(timer);
  }
}

function readerOf(body) {
  if (typeof body?.getReader === 'function') return body.getReader();
  // A test double's Node stream. `Readable.toWeb` would throw uncatchably once it is cancelled.
  const chunks = body?.[Symbol.asyncIterator]?.();
  return chunks && { read: () => chunks.next(), cancel: () => body.destroy?.() };
}

function cancel(body) {
  try {
    // A test double's `cancel` may return no promise, and a Node stream's method has another name.
    Promise.resolve(body?.cancel?.() ?? body?.destroy?.()).catch(() => {});
  } catch {
    // Errors of a body without a reader do not matter.
  }
}

module.exports = { baseOf, makeFetch };
