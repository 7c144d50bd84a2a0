'use strict';

// Sends a form with Node's own client.

const http = require('node:http');
const https = require('node:https');

/**
 * Resolves with `{ status, body }`. `timeoutMs` is the time without data on the socket after which
 * the request fails.
 */
function post(url, form, { agent, timeoutMs }) {
  const { request: start } = new URL(url).protocol === 'https:' ? https : http;
  const headers = {
    'Content-Type': 'application/x-www-form-urlencoded',
    'Content-Length': Buffer.byteLength(form),
  };
  return new Promise((resolve, reject) => {
    const request = start(url, { method: 'POST', agent, headers }, (response) => {
      let body = '';
      response.setEncoding('utf8');
      response.on('data', (chunk) => {
        body += chunk;
      });
      response.on('end', () => resolve({ status: response.statusCode, body }));
      response.on('error', reject);
    });
    if (timeoutMs !== undefined) {
      request.setTimeout(timeoutMs, () => {
        request.destroy(new Error(`Keycloak token request timed out after ${timeoutMs} ms`));
      });
    }
    request.on('error', reject);
    request.end(form);
  });
}

module.exports = { post };
