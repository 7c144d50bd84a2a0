'use strict';

// The policy of `manager.fetch`: who gets a token, what a 401 means, which redirects are followed.
// What stands in a request is `outgoing-request.js`; when a token is dropped is decided natively.

const { isDisturbed } = require('node:stream');
const { KeycloakTokenError, badRequest } = require('./error.js');
const { OutgoingRequest } = require('./outgoing-request.js');

const REDIRECTS = new Set([301, 302, 303, 307, 308]);
// As many as `fetch` follows.
const MOST_REDIRECTS = 20;
// A body that is read to its end leaves a connection that can be used again.
const DRAINED_BYTES = 256 * 1024;
const DRAINED_MS = 1000;

/**
 * Makes the function for one manager and one resource.
 *
 * @param {object} parts
 * @param {import('..').KeycloakTokenManager} parts.manager
 * @param {import('..').ResourceOptions} [parts.resource]
 * @param {(token: string) => 'dropped' | 'kept' | 'ignored'} parts.reject
 * @param {() => boolean} parts.isCurrent whether the manager's tokens are still for this origin
 */
function makeFetch({ manager, resource, reject, isCurrent }) {
  let settings;
  return async (input, init) => {
    settings ??= settingsOf(resource);
    const request = new OutgoingRequest(input, init, settings);
    let token = await manager.getToken(request.tokenOptions);
    // The configuration changed meanwhile, and what it gives now is for another origin.
    if (!isCurrent()) return manager.fetch(input, init);
    let hasRetried = false;
    let redirects = 0;
    for (;;) {
      // The global one is looked up each time, so that one who replaces it is heard.
      const response = await request.send(resource.fetch ?? globalThis.fetch, token);
      if (response.status === 401) {
        // One that is kept would be refused again.
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
          if (redirects > MOST_REDIRECTS) throw badRequest('redirect: too many of them');
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
      message: 'fetch: needs the option resource, { baseUrl }: to whom the token may be sent',
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

/** Does what comes between two requests; if that fails, nobody will read the response. */
async function orCancel(response, step) {
  try {
    return await step();
  } catch (error) {
    cancel(unreadBody(response));
    throw error;
  }
}

/** The body, unless `resource.fetch` has read, locked or hidden it: then it is left alone. */
function unreadBody(response) {
  try {
    const { body, bodyUsed } = response;
    // A Node stream flows, or is paused, once a consumer is attached to it.
    const isTaken =
      bodyUsed || body?.locked || typeof body?.readableFlowing === 'boolean' || isDisturbed(body);
    return isTaken ? undefined : body;
  } catch {
    return undefined;
  }
}

/** Never throws: the next request does not depend on what became of this body. */
async function drain(response) {
  let timer;
  try {
    const reader = readerOf(unreadBody(response));
    timer = setTimeout(cancel, DRAINED_MS, reader);
    for (let left = DRAINED_BYTES; left > 0; ) {
      const { done, value } = await reader.read();
      if (done) return;
      // Timers do not run while chunks come at once, so that every chunk counts.
      left -= Math.max(1, value?.byteLength ?? DRAINED_BYTES);
    }
    cancel(reader);
  } catch {
    // A connection that breaks now is not used again anyway.
  } finally {
    clearTimeout(timer);
  }
}

function readerOf(body) {
  if (typeof body?.getReader === 'function') return body.getReader();
  // The Node stream of a double. `Readable.toWeb` throws out of reach once it is cancelled.
  const chunks = body?.[Symbol.asyncIterator]?.();
  return chunks && { read: () => chunks.next(), cancel: () => body.destroy?.() };
}

function cancel(body) {
  try {
    // A double's may give no promise; that of a Node stream has another name.
    Promise.resolve(body?.cancel?.() ?? body?.destroy?.()).catch(() => {});
  } catch {
    // What nobody reads may break.
  }
}

module.exports = { baseOf, makeFetch };
