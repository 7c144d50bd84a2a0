'use strict';

// The headers of a request that the caller sends: for WebSocket, gRPC and EventSource clients.

const { baseOf, settingsOf } = require('./authenticated-fetch.js');
const { badRequest } = require('./error.js');
const { OutgoingRequest } = require('./outgoing-request.js');

const NAMES = new Set(['url', 'method', 'backstageUser', 'onBehalfOf', 'signal']);
/** The URL of a request that goes to no particular API. */
const NOWHERE = 'http://localhost/';

/**
 * @param {import('..').DerivedTokenManager} manager
 * @param {import('..').ResourceOptions} [resource] the API of the manager
 * @param {import('..').HeadersOptions} [options]
 */
async function headersFor(manager, resource, options = {}) {
  if (options === null || typeof options !== 'object' || Array.isArray(options)) {
    throw badRequest('headers: expected an object');
  }
  for (const name of Object.keys(options)) {
    if (!NAMES.has(name)) throw badRequest(`headers: ${JSON.stringify(name)}: no such option`);
  }
  if ('onBehalfOf' in options) {
    const { onBehalfOf, ...rest } = options;
    return manager.onBehalfOf(onBehalfOf).headers(rest);
  }
  const { url, ...init } = options;
  const api = resource ?? { baseUrl: url ?? NOWHERE };
  const settings = settingsOf(api, () => NOWHERE);
  const request = new OutgoingRequest(url ?? baseOf(api).href, init, settings);
  const token = await manager.getToken(request.tokenOptions);
  const headers = request.send((_, sent) => sent.headers, token);
  request.release();
  return Object.fromEntries(headers);
}

module.exports = { headersFor };
