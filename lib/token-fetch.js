'use strict';

/**
 * Sends a token or discovery request with the function of `tokenFetch` and reads the response, for
 * the native side. Every outcome, including an error, is returned as data; the native side
 * classifies the outcome.
 */

const { MAX_ANSWER, USER_AGENT } = require('./native.js');

/** The headers of an answer that the native side reads. */
const HEADERS = ['content-encoding', 'retry-after'];
/** The maximum number of nested causes that are searched for a code. */
const MAX_CAUSES = 8;

class TooLarge extends Error {}

/** Never rejects. Returns `undefined` if `signal` is aborted before the response is complete. */
async function sendRequest(tokenFetch, { url, authorization, headers, body }, signal) {
  let response;
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
    const fault = faultOf(response, url);
    if (fault !== undefined) return fault;
    const { status } = response;
    const answer = await readBody(response, signal);
    return { type: 'Answered', status, headers: headersOf(response), body: answer };
  } catch (error) {
    if (signal.aborted) return undefined;
    if (error instanceof TooLarge) return { type: 'TooLarge', status: response.status };
    return { type: 'Failed', ...describe(error) };
  } finally {
    discard(response);
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

/** Checks a response before its body is read. Returns `undefined` if the response is usable. */
function faultOf(response, url) {
  const isObject = typeof response === 'object' && response !== null;
  if (isObject && response.type === 'opaqueredirect') {
    return unusable(undefined, 'the answer is a redirect, which is never followed');
  }
  if (!isObject || !Number.isInteger(response.status) || !isReadable(response)) {
    return unusable(undefined, 'tokenFetch must return a Response, or a promise of one');
  }
  const { status } = response;
  if (status < 100 || status > 599) {
    return unusable(undefined, 'tokenFetch returned a Response without an HTTP status');
  }
  if (response.redirected === true || !isUrlOf(response, url)) {
    return unusable(
      status,
      "tokenFetch followed a redirect: the function must respect redirect: 'manual'",
    );
  }
  return undefined;
}

function isReadable({ body, arrayBuffer, text }) {
  return isStream(body) || [arrayBuffer, text].some((method) => typeof method === 'function');
}

function isStream(body) {
  const isObject = typeof body === 'object' && body !== null;
  return isObject && (Symbol.asyncIterator in body || typeof body.getReader === 'function');
}

/** Test doubles have no URL, or an empty one. */
function isUrlOf(response, url) {
  if (!response.url) return true;
  const normal = (text) => {
    const parsed = new URL(text);
    parsed.hash = '';
    return parsed.href;
  };
  return URL.canParse(response.url) && normal(response.url) === normal(url);
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

/** The whole body. Throws `TooLarge` as soon as it exceeds the limit. */
async function readBody(response, signal) {
  if (Number(response.headers?.get?.('content-length')) > MAX_ANSWER) throw new TooLarge();
  const { body } = response;
  if (!isStream(body)) {
    const whole =
      typeof response.arrayBuffer === 'function'
        ? Buffer.from(await response.arrayBuffer())
        : Buffer.from(String(await response.text()));
    if (whole.length > MAX_ANSWER) throw new TooLarge();
    return whole;
  }
  const chunks = [];
  let length = 0;
  for await (const chunk of Symbol.asyncIterator in body ? body : chunksOf(body)) {
    // The code that created the stream may ignore the signal.
    if (signal.aborted) break;
    const bytes = Buffer.from(chunk);
    length += bytes.length;
    if (length > MAX_ANSWER) throw new TooLarge();
    chunks.push(bytes);
  }
  return Buffer.concat(chunks, length);
}

/** The chunks of a web stream that cannot be iterated. */
async function* chunksOf(stream) {
  const reader = stream.getReader();
  try {
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return;
      yield value;
    }
  } finally {
    await reader.cancel();
    reader.releaseLock();
  }
}

/** Frees the connection of a response whose body was not read to its end. */
function discard(response) {
  try {
    const body = response?.body;
    if (typeof body?.destroy === 'function') body.destroy();
    else if (typeof body?.cancel === 'function') body.cancel()?.catch?.(() => {});
  } catch {
    // The body is locked, or a test double does not support cancellation.
  }
}

/**
 * Returns the first code in a thrown error and its causes, and the message beside it. The error
 * itself is not kept, because some clients attach the whole request to it.
 */
function describe(thrown) {
  let last = thrown;
  for (let error = thrown, count = 0; isError(error) && count < MAX_CAUSES; count += 1) {
    last = error;
    if (typeof error.code === 'string') {
      return { code: codeOf(error), detail: messageOf(error) };
    }
    // Node tries all addresses of a host and collects one error for each.
    error = error.cause ?? error.errors?.[0];
  }
  return { detail: messageOf(last) };
}

function isError(value) {
  return typeof value === 'object' && value !== null;
}

/** Returns the code only if it has the form of an error code, because it is shown in messages. */
function codeOf({ code }) {
  return /^[A-Z][A-Z0-9_]{0,63}$/.test(code) ? code : undefined;
}

function messageOf(error) {
  const message = isError(error) ? error.message : undefined;
  return typeof message === 'string' && message !== '' ? message : 'the error has no message';
}

module.exports = { sendRequest };
