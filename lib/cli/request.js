'use strict';

// Sends the command line's requests: for the discovery document, to an API, and for `tokenFetch`.
// They follow the same proxy rules and trust the same certificates as the token request, and never
// follow a redirect.

const http = require('node:http');
const { openPath, proxyAuthorization, secure } = require('./connection.js');
const { chooseProxy, hostOf } = require('./proxy-choice.js');

const LARGEST_BODY = 1_048_576;

/**
 * Sends a request and resolves with `{ status, headers, text, sentAt, receivedAt }`. Over https,
 * the server's certificate must be valid. `text` has at most 1 MiB.
 */
async function send(url, settings) {
  const { method, headers = {}, body, proxyOption, env, signal, secureContext } = settings;
  const proxy = chooseProxy(url, proxyOption, env);
  const plain = await openPath(url, proxy, { signal, secureContext });
  const socket =
    url.protocol === 'https:' ? await secure(plain, hostOf(url), { signal, secureContext }) : plain;
  const isForwarded = url.protocol === 'http:' && proxy.url?.protocol.startsWith('http') === true;
  const authorization = isForwarded ? proxyAuthorization(proxy.url) : undefined;
  const sentAt = Date.now();
  const request = http.request({
    createConnection: () => socket,
    method,
    path: isForwarded ? url.href : `${url.pathname}${url.search}`,
    headers: {
      Host: url.host,
      Accept: 'application/json',
      Connection: 'close',
      ...headers,
      ...(authorization && { 'Proxy-Authorization': authorization }),
    },
    signal,
  });
  try {
    return await new Promise((resolve, reject) => {
      request.once('error', reject);
      request.once('response', (response) => {
        const receivedAt = Date.now();
        read(response).then((text) => {
          const { statusCode: status, headers: received } = response;
          resolve({ status, headers: received, text, sentAt, receivedAt });
        }, reject);
      });
      request.end(body);
    });
  } finally {
    socket.destroy();
  }
}

async function read(response) {
  const chunks = [];
  let length = 0;
  for await (const chunk of response) {
    chunks.push(chunk);
    length += chunk.length;
    if (length > LARGEST_BODY) break;
  }
  return Buffer.concat(chunks).subarray(0, LARGEST_BODY).toString();
}

const get = (url, settings) => send(url, { method: 'GET', ...settings });

module.exports = { get, send };
