'use strict';

// One call to `manager.fetch`: its content, its URL, and whether `fetch` can send the call again.
// This class reads the caller's input once, at the time of the call, and never modifies it.
// `call-request.js` does the same for `init`.

const { KeptBody, copyOfBody } = require('./body.js');
const { FETCH_MEMBERS, isA } = require('./call-request.js');
const { badRequest } = require('./error.js');

const DEFAULT_USER_HEADER = 'X-Backstage-User';
// The headers that `fetch` drops along with a body ("HTTP-redirect fetch" in the Fetch standard).
const BODY_HEADERS = [
  'content-encoding',
  'content-language',
  'content-length',
  'content-location',
  'content-type',
];
const REDIRECTS = new Set([301, 302, 303, 307, 308]);
const LOGIN_PATH = /\/(auth|authorize|login)\/?$/;

class OutgoingRequest {
  /** Whether the call follows redirects (`redirect: 'follow'`). */
  follows;
  /** The options for `getToken`; `undefined` for a plain call. */
  tokenOptions;
  /** The caller's input: a string or a `Request`. */
  input;
  #settings;
  #firstUrl;
  #url;
  #route;
  /** The caller's `Request`, until a redirect replaces it. */
  #request;
  #method;
  /** The method as the caller wrote it. */
  #sentMethod;
  #headers;
  #wasSent = false;
  /** The copy of the caller's `init`. */
  #init;
  /** Whether `fetch` can read the caller's body again. */
  #isReadableAgain;
  /** The body of the caller's `Request`, if it has one. */
  #kept;

  /**
   * @param {object} init a copy of the caller's `init`, which this class may change
   * @throws {KeycloakTokenError} `ERR_KEYCLOAK_REQUEST` if the manager must not send the request
   */
  constructor(input, init = {}, settings) {
    const request = isA('Request', input) ? input : undefined;
    const { backstageUser, minValiditySeconds } = init;
    this.input = request ?? addressOf(input);
    this.#settings = settings;
    this.#firstUrl = this.#resolve(request?.url ?? this.input, settings.base, 'input');
    this.#url = this.#firstUrl;
    this.#request = request;
    // The conversion of an object to a string may give another value the next time.
    this.#sentMethod = `${init.method ?? request?.method ?? 'GET'}`;
    this.#method = this.#sentMethod.toUpperCase();
    if (init.method !== undefined) init.method = this.#sentMethod;
    const redirect = `${init.redirect ?? request?.redirect ?? 'follow'}`;
    this.follows = redirect === 'follow';
    if (init.redirect !== undefined) init.redirect = redirect;
    if (init.body !== undefined) init.body = copyOfBody(init.body);
    this.#headers = new Headers(init.headers ?? request?.headers);
    this.#init = init;
    if (backstageUser !== undefined) checkUser(backstageUser);
    this.#isReadableAgain = isReadableAgain(init.body ?? request?.body);
    const signal = (init.signal === undefined ? request?.signal : init.signal) ?? undefined;
    if (signal !== undefined || minValiditySeconds !== undefined) {
      this.tokenOptions = { signal, minValiditySeconds };
    }
  }

  /** The content of the call, with which `fetch` can begin it again before the first request. */
  get init() {
    return { ...this.#init, headers: this.#headers };
  }

  /**
   * The base URL, followed by the first two segments of the path below it. Outside the base path,
   * the segments are the first two of the whole path.
   */
  get route() {
    this.#route ??= routeOf(this.#url, this.#settings.base);
    return this.#route;
  }

  /** The URL of the next or last request. */
  get url() {
    return this.#url;
  }

  /** Whether `fetch` can send the request once more. */
  get isReplayable() {
    return this.#isReadableAgain || this.#kept?.isComplete === true;
  }

  /** Whether the method is GET or HEAD, so that a repeated call does not change the API's state. */
  get isSafe() {
    return this.#method === 'GET' || this.#method === 'HEAD';
  }

  /**
   * Returns the error for a redirect to a login page, with which some gateways reject a token;
   * `undefined` for any other response.
   */
  loginPageOf(response) {
    if (!this.follows || !REDIRECTS.has(response.status)) return undefined;
    const location = headerOf(response, 'location') ?? '';
    const url = URL.canParse(decoded(location), this.#url)
      ? new URL(decoded(location), this.#url)
      : this.#url;
    if (url.origin === this.#settings.origin) return undefined;
    const { searchParams } = url;
    const isLogin =
      url.origin === this.#settings.issuerOrigin() ||
      (searchParams.has('client_id') && searchParams.has('response_type')) ||
      LOGIN_PATH.test(url.pathname);
    if (!isLogin) return undefined;
    return badRequest(
      `redirect: the API redirects to ${this.#placeOf(url)}, probably a login page, because it ` +
        'rejected the token; fetch did not follow the redirect. Check which tokens the API accepts',
    );
  }

  /**
   * @param {import('./dpop.js').Dpop} [dpop] presents bound tokens
   */
  send(fetch, token, dpop) {
    // Each request gets its own `Headers`, because `fetch` may have kept the previous object.
    if (this.#wasSent) this.#headers = new Headers(this.#headers);
    if (!this.#isReadableAgain && this.#request !== undefined) {
      if (this.#wasSent) this.#dissolve();
      // `fetch` sends the body of the `Request` even if `init.body` is null.
      else if ((this.#init.body ?? undefined) === undefined)
        this.#kept = new KeptBody(this.#request);
    }
    this.#wasSent = true;
    const { backstageUser: user, minValiditySeconds, scope, audience, ...options } = this.#init;
    if (user !== undefined) {
      this.#headers.set(this.#settings.userHeader ?? DEFAULT_USER_HEADER, user);
    }
    if (dpop === undefined) this.#headers.set('authorization', `Bearer ${token}`);
    else {
      const headers = dpop.headersFor(this.#sentMethod, this.#url, token);
      for (const [name, value] of Object.entries(headers)) this.#headers.set(name, value);
    }
    options.headers = this.#headers;
    if (this.follows) options.redirect = 'manual';
    return fetch(this.#request ?? this.#url.href, options);
  }

  /**
   * Follows a redirect by the rules of `fetch`.
   *
   * @throws {KeycloakTokenError} `ERR_KEYCLOAK_REQUEST` if `fetch` must not follow the redirect
   */
  redirect(status, location) {
    const url = this.#resolve(decoded(location), this.#url, 'redirect');
    const losesBody =
      status === 303
        ? this.#method !== 'GET' && this.#method !== 'HEAD'
        : (status === 301 || status === 302) && this.#method === 'POST';
    if (!losesBody && !this.isReplayable) {
      throw badRequest(
        `redirect: status ${status} requires fetch to send the body again, but fetch can read ` +
          'this body only once; pass a string, a buffer, a FormData, a URLSearchParams or a Blob',
      );
    }
    if (this.#request !== undefined) this.#dissolve();
    if (losesBody) {
      const { body, duplex, ...options } = this.#init;
      this.#init = { ...options, method: 'GET' };
      this.#headers = new Headers(this.#headers);
      for (const name of BODY_HEADERS) this.#headers.delete(name);
      this.#method = 'GET';
      this.#sentMethod = 'GET';
      this.release();
      this.#isReadableAgain = true;
    }
    this.#url = url;
    this.#route = undefined;
  }

  /** Goes back to the URL of the first request. The method must be GET or HEAD. */
  restart() {
    this.#url = this.#firstUrl;
    this.#route = undefined;
  }

  /** Drops the kept body, because `fetch` will not send the request again. */
  release() {
    this.#kept?.release();
  }

  /**
   * Replaces the caller's `Request` with its members, because its body was read or the URL changes.
   */
  #dissolve() {
    const { headers, ...members } = membersOf(this.#request);
    this.#init = { ...members, ...withoutAbsent(this.#init) };
    this.#request = undefined;
    if (!this.#kept?.isComplete) return;
    const { duplex, ...options } = this.#init;
    this.#init = { ...options, body: this.#kept.bytes };
    this.#kept = undefined;
    this.#isReadableAgain = true;
  }

  /**
   * Returns the origin of a URL for a message, or a description if the host name contains a part of
   * the token, because an API may redirect to such a host.
   */
  #placeOf(url) {
    if (!url.protocol.startsWith('http')) return url.protocol;
    const sent = this.#headers?.get('authorization')?.toLowerCase() ?? '';
    const parts = url.hostname.match(/.{1,8}/g);
    const isToken = parts.some((part) => part.length === 8 && sent.includes(part));
    return isToken ? 'an origin that contains a part of the token' : url.origin;
  }

  // Only one origin receives the token, so this method parses the URL as `fetch` does and compares
  // the origin.
  #resolve(address, base, what) {
    let url;
    try {
      url = new URL(address, base);
    } catch {
      throw badRequest(`${what}: expected a valid URL`);
    }
    const place = () => this.#placeOf(url);
    const { origin } = this.#settings;
    checkOrigin(url, origin, what, place, '; fetch sent no request to the other origin');
    return url;
  }
}

/**
 * @param {URL} url
 * @param {string} origin the origin of `resource.baseUrl`
 * @param {string} what the name of the URL in messages
 * @param {() => string} place the name of another origin in messages
 * @param {string} consequence the end of the message about another origin
 */
function checkOrigin(url, origin, what, place = () => url.origin, consequence = '') {
  // The origin of a `blob:` URL is the origin of the URL inside it.
  if (url.origin !== origin || url.protocol === 'blob:') {
    throw badRequest(
      `${what}: ${place()} is not the origin of resource.baseUrl (${origin}), the only ` +
        `origin that receives the token${consequence}`,
    );
  }
  if (url.username !== '' || url.password !== '') {
    throw badRequest(`${what}: expected a URL without a user name or password`);
  }
}

function routeOf({ pathname }, base) {
  const isBelow = pathname.startsWith(base.pathname);
  const rest = pathname.slice(isBelow ? base.pathname.length : 1);
  return `${base.href} ${isBelow ? '' : '/'}${rest.split('/', 2).join('/')}`;
}

function membersOf(request) {
  return Object.fromEntries(FETCH_MEMBERS.map((name) => [name, request[name] ?? undefined]));
}

function withoutAbsent(options) {
  return Object.fromEntries(Object.entries(options).filter(([, value]) => value !== undefined));
}

function addressOf(input) {
  if (typeof input === 'string') return input;
  if (isA('URL', input)) return input.href;
  // `fetch` converts other objects, such as a framework's URL objects, to strings.
  const text = typeof input === 'object' && input !== null ? String(input) : '[object';
  if (!text.startsWith('[object')) return text;
  throw badRequest('input: expected a string, a URL or a Request');
}

function checkUser(user) {
  // Spaces around a header value do not survive the transport.
  if (typeof user !== 'string' || !/^[\x20-\x7e]+$/.test(user) || user.trim() !== user) {
    throw badRequest(
      'backstageUser: expected an entity ref in printable ASCII, without spaces at its start or ' +
        'end',
    );
  }
}

function isReadableAgain(body) {
  if (body === null || typeof body !== 'object') return true;
  // `fetch` reads a stream once, and every other object as often as necessary.
  const methods = [body.pipe, body.getReader, body.next, body[Symbol.asyncIterator]];
  return methods.every((method) => typeof method !== 'function');
}

// `fetch` decodes header values as Latin-1, but treats bytes beyond ASCII in a location as UTF-8.
function decoded(location) {
  return /^[\x21-\x7e]*$/.test(location)
    ? location
    : Buffer.from(location, 'latin1').toString('utf8');
}

/** Returns a header of a response. Test doubles may have no headers. */
function headerOf({ headers }, name) {
  return headers?.get?.(name) ?? null;
}

module.exports = {
  DEFAULT_USER_HEADER,
  OutgoingRequest,
  REDIRECTS,
  checkOrigin,
  checkUser,
  headerOf,
};
