'use strict';

// Token requests without a manager, for the tests of the endpoint itself and for comparisons.

const assert = require('node:assert/strict');
const { once } = require('node:events');
const https = require('node:https');
const net = require('node:net');

const GRANT = { grant_type: 'client_credentials' };
const CLIENT = { client_id: 'test-client', client_secret: 'test-secret' };
const FORM = 'application/x-www-form-urlencoded';

/** Sends a token request and reads the whole answer. */
async function post(endpoint, fields = { ...GRANT, ...CLIENT }, headers = {}) {
  const body = typeof fields === 'string' ? fields : new URLSearchParams(fields).toString();
  const response = await fetch(endpoint.tokenEndpoint, {
    method: 'POST',
    body,
    headers: { 'content-type': FORM, ...headers },
    redirect: 'manual',
  });
  const text = await response.text();
  return { status: response.status, headers: response.headers, text };
}

/** Sends a token request that the endpoint must grant; returns the answer. */
async function grant(endpoint, fields) {
  const { status, text } = await post(endpoint, fields);
  assert.equal(status, 200, text);
  return JSON.parse(text);
}

/** Sends a token request with Node's `https`; returns the status, or the failure's code. */
async function httpsPost(url, ca) {
  const request = https.request(url, { ca, agent: false, method: 'POST' });
  request.setHeader('content-type', FORM);
  request.end(new URLSearchParams({ ...GRANT, ...CLIENT }).toString());
  try {
    const [response] = await once(request, 'response');
    await once(response.resume(), 'end');
    return response.statusCode;
  } catch (error) {
    return error.code ?? error.message;
  }
}

/** The HTTP Basic header for the given text. */
const basic = (text) => ({ authorization: `Basic ${Buffer.from(text).toString('base64')}` });

/**
 * Sends a token request over its own connection; returns the answer's bytes and how the connection
 * ended.
 */
async function rawPost(endpoint) {
  const body = new URLSearchParams({ ...GRANT, ...CLIENT }).toString();
  const { port, pathname } = new URL(endpoint.tokenEndpoint);
  const socket = net.connect(Number(port), '127.0.0.1');
  socket.end(
    `POST ${pathname} HTTP/1.1\r\nHost: x\r\nContent-Type: ${FORM}\r\n` +
      `Content-Length: ${body.length}\r\n\r\n${body}`,
  );
  const chunks = [];
  socket.on('data', (chunk) => chunks.push(chunk));
  const ended = await once(socket, 'end').then(
    () => 'FIN',
    (error) => error.code,
  );
  const [head, ...rest] = Buffer.concat(chunks).toString().split('\r\n\r\n');
  return { ended, head, body: rest.join('\r\n\r\n') };
}

module.exports = { basic, CLIENT, GRANT, grant, httpsPost, post, rawPost };
