'use strict';

/**
 * For the native side, sends a token or discovery request with the `tokenFetch` function and reads
 * the response. Returns every outcome, including an error, as data that the native side classifies.
 */

const { cancel, readerOf, unreadBody } = require('./body.js');
const { MAX_ANSWER, USER_AGENT } = require('./native.js');
const { setTimeout, clearTimeout } = require('./timers.js');

/** The names of the response headers that the native side reads. */
const HEADERS = ['age', 'content-encoding', 'dpop-nonce', 'retry-after'];
/** The maximum number of nested causes to search for a code. */
const MAX_CAUSES = 8;

/**
 * The error for a body that exceeds the limit. This module compares it by identity, because other
 * code may throw any value.
 */
const TOO_LARGE = new Error('the body is too large');

/** The time limit for the body of an answer whose status means a temporary failure. */
const FAILURE_BODY_MS = 1_000;

/** Sends a request. Never rejects. Resolves with `undefined` as soon as `signal` aborts. */
function sendRequest(tokenFetch, request, signal) {
  const aborted = new Promise((resolve) => {
    signal.addEventListener('abort', () => resolve(undefined), { once: true });
  });
  return Promise.race([exchange(tokenFetch, request, signal), aborted]);
}

async function exchange(tokenFetch, { url, authorization, headers, body }, signal) {
  let response;
  let status;
  try {
    const send = tokenFetch === true ? globalThis.fetch : tokenFetch;
    if (typeof send !== 'function') {
      return unusable(
        undefined,
        'tokenFetch: true requires a global fetch, which this process does not define',
      );
    }
    response = await send(url, init(authorization, headers, body, signal));
    if (signal.aborted) return undefined;
    const seen = inspect(response, url);
    if (seen.type === 'Unusable') return seen;
    status = seen.status;
    const answer = await bodyOf(response, status, signal);
    return { type: 'Answered', status, headers: headersOf(response), body: answer };
  } catch (error) {
    if (error === TOO_LARGE) return { type: 'TooLarge', status };
    return { type: 'Failed', ...describe(error) };
  } finally {
    cancel(unreadBody(response));
  }
}

function init(authorization, extra, body, signal) {
  const headers = {
    accept: 'application/json',
    'accept-encoding': 'identity',
    'user-agent': USER_AGENT,
    ...Object.fromEntries(extra.map(({ name, value }) => [name, value])),
  };
  if (authorization !== undefined) headers.authorization = authorization;
  if (body !== undefined) headers['content-type'] = 'application/x-www-form-urlencoded';
  const method = body === undefined ? 'GET' : 'POST';
  return { method, headers, body, redirect: 'manual', signal };
}

/**
 * Returns the status of a response, or why the response is unusable. Reads each member only once.
 */
function inspect(response, asked) {
  const isObject = typeof response === 'object' && response !== null;
  const { status, type, redirected, url, body, bodyUsed, arrayBuffer, text } = isObject
    ? response
    : {};
  if (type === 'opaqueredirect') {
    return unusable(undefined, 'the response is a redirect, which the manager never follows');
  }
  const isReadable =
    isStream(body) || [arrayBuffer, text].some((method) => typeof method === 'function');
  if (!Number.isInteger(status) || !isReadable) {
    return unusable(undefined, 'tokenFetch must return a Response, or a promise of one');
  }
  if (status < 100 || status > 599) {
    return unusable(undefined, 'tokenFetch returned a Response without an HTTP status');
  }
  if (redirected === true || !isSameUrl(url, asked)) {
    return unusable(
      status,
      "tokenFetch followed a redirect; the function must respect redirect: 'manual'",
    );
  }
  if (bodyUsed || (isStream(body) && unreadBody({ body }) === undefined)) {
    return unusable(status, 'tokenFetch returned a Response whose body was already read');
  }
  return { status };
}

function isStream(body) {
  const isObject = typeof body === 'object' && body !== null;
  return isObject && (Symbol.asyncIterator in body || typeof body.getReader === 'function');
}

/** Whether the response comes from the requested URL. Test doubles have no URL, or an empty one. */
function isSameUrl(url, asked) {
  if (!url) return true;
  const normal = (text) => {
    const parsed = new URL(text);
    parsed.hash = '';
    return parsed.href;
  };
  return URL.canParse(url) && normal(url) === normal(asked);
}

function unusable(status, detail) {
  return { type: 'Unusable', status, detail };
}

function headersOf({ headers }) {
  const found = {};
  for (const name of HEADERS) {
    const value = headers?.get?.(name);
    if (typeof value === 'string') found[name] = value;
  }
  return found;
}

/**
 * Returns the body. As with the native transport, the result is empty if the body of a failure is
 * too large, or if the body of a temporary failure breaks off or takes too long.
 */
async function bodyOf(response, status, signal) {
  const isTemporary = status === 408 || status === 429 || status >= 500;
  const whole = readBody(response, signal).catch((error) => {
    if (isTemporary || (error === TOO_LARGE && status >= 400)) return NO_BODY;
    throw error;
  });
  if (!isTemporary) return whole;
  let timer;
  const late = new Promise((resolve) => {
    timer = setTimeout(resolve, FAILURE_BODY_MS, NO_BODY);
  });
  try {
    return await Promise.race([whole, late]);
  } finally {
    clearTimeout(timer);
  }
}

const NO_BODY = Buffer.alloc(0);

/** Returns the whole body. Throws `TOO_LARGE` as soon as the body exceeds the limit. */
async function readBody(response, signal) {
  if (Number(response.headers?.get?.('content-length')) > MAX_ANSWER) throw TOO_LARGE;
  const reader = readerOf(response.body);
  if (reader === undefined) {
    const whole =
      typeof response.arrayBuffer === 'function'
        ? Buffer.from(await response.arrayBuffer())
        : Buffer.from(String(await response.text()));
    if (whole.length > MAX_ANSWER) throw TOO_LARGE;
    return whole;
  }
  // The stream may come from code that ignores the signal.
  const stop = () => cancel(reader);
  signal.addEventListener('abort', stop, { once: true });
  const chunks = [];
  let length = 0;
  try {
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return Buffer.concat(chunks, length);
      const bytes = Buffer.from(value);
      length += bytes.length;
      if (length > MAX_ANSWER) throw TOO_LARGE;
      chunks.push(bytes);
    }
  } catch (error) {
    stop();
    throw error;
  } finally {
    signal.removeEventListener('abort', stop);
  }
}

/**
 * Returns the first code in a thrown error and its causes, and the message of the error that has
 * this code. Does not return the error itself, because some clients attach the whole request to an
 * error.
 */
function describe(thrown) {
  try {
    let last = thrown;
    for (let error = thrown, count = 0; isError(error) && count < MAX_CAUSES; count += 1) {
      last = error;
      if (typeof error.code === 'string') {
        return { code: codeOf(error), detail: messageOf(error) };
      }
      // Node tries all addresses of a host and reports an error for each of them.
      error = error.cause ?? error.errors?.[0];
    }
    return { detail: messageOf(last) };
  } catch {
    // A getter of the error threw an exception.
    return { detail: 'the manager cannot read the error' };
  }
}

function isError(value) {
  return typeof value === 'object' && value !== null;
}

/** Returns the code only if it has the form of an error code, because messages show it. */
function codeOf({ code }) {
  return /^[A-Z][A-Z0-9_]{0,63}$/.test(code) ? code : undefined;
}

function messageOf(error) {
  const message = isError(error) ? error.message : undefined;
  return typeof message === 'string' && message !== '' ? message : 'the error has no message';
}

module.exports = { sendRequest };
