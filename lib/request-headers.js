'use strict';

// `manager.headers`: the headers of a request that other code sends.

const { baseOf } = require('./authenticated-fetch.js');
const { checkMethod, httpUrlOf } = require('./dpop.js');
const { badRequest } = require('./error.js');
const resourceHeaders = require('./resource-headers.js');
const { DEFAULT_USER_HEADER, checkOrigin, checkUser } = require('./outgoing-request.js');

const MEMBERS = ['url', 'method', 'backstageUser', 'onBehalfOf'];

/**
 * @param {object} options the argument of `manager.headers`
 * @param {object} parts
 * @param {import('..').KeycloakTokenManager} parts.manager
 * @param {import('..').ResourceOptions} [parts.resource]
 * @param {() => import('./dpop.js').Dpop | undefined} parts.dpop
 * @param {() => boolean} parts.isCurrent whether the manager still sends tokens to this origin
 * @param {typeof import('..').KeycloakTokenManager.prototype.headers} parts.again repeats a call
 * that began with an earlier configuration
 */
async function requestHeaders(options, parts) {
  const { manager, resource, dpop } = parts;
  const base = resource && baseOf(resource);
  const values = checked(options);
  if ('onBehalfOf' in values) {
    const { onBehalfOf, ...others } = values;
    const again = (request) => parts.again({ ...request, onBehalfOf });
    const user = manager.onBehalfOf(onBehalfOf);
    return user[resourceHeaders](resource, parts.isCurrent, again)(others);
  }
  const { url: address, method, backstageUser } = values;
  const url = address === undefined ? undefined : httpUrlOf(address, base);
  if (url !== undefined && base !== undefined) checkOrigin(url, base.origin, 'url');
  if (dpop()?.isRequested && (url === undefined || method === undefined)) {
    throw badRequest('headers: with dpop, url and method are required, because a proof names both');
  }
  const token = await manager.getToken();
  // The configuration changed during the wait, so the token is for another origin.
  if (!parts.isCurrent()) return parts.again(values);
  const bound = url !== undefined && method !== undefined ? dpop() : undefined;
  const headers = bound?.headersFor(method, url, token) ?? { Authorization: `Bearer ${token}` };
  if (backstageUser !== undefined) {
    headers[resource?.userHeader ?? DEFAULT_USER_HEADER] = backstageUser;
  }
  return headers;
}

/** Reads each option once, because a getter may return another value the next time. */
function checked(options = {}) {
  if (options === null || typeof options !== 'object') {
    throw badRequest('headers: expected an object');
  }
  const unknown = Object.keys(options).find((name) => !MEMBERS.includes(name));
  if (unknown !== undefined) throw badRequest(`${JSON.stringify(unknown)}: no such option`);
  const { url, method, backstageUser, onBehalfOf } = options;
  if (method !== undefined) checkMethod(method);
  if (backstageUser !== undefined) checkUser(backstageUser);
  const values = { url, method, backstageUser };
  // A present `onBehalfOf` counts even if it is `undefined`: a call without a user must never run
  // with the rights of the service.
  if (onBehalfOf !== undefined || 'onBehalfOf' in options) values.onBehalfOf = onBehalfOf;
  return values;
}

module.exports = { requestHeaders };
