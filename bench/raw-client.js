'use strict';

// The minimum with Node's own client: a form over a keep-alive connection, and JSON parsed. It has
// no deadline, no check of the status and no cache.

const { clientId, clientSecret } = require('./credentials.js');

function makeRaw(tokenEndpoint) {
  const url = new URL(tokenEndpoint);
  const { Agent, request } = require(url.protocol === 'https:' ? 'node:https' : 'node:http');
  const form = new URLSearchParams({
    grant_type: 'client_credentials',
    client_id: clientId,
    client_secret: clientSecret,
  }).toString();
  const options = {
    method: 'POST',
    agent: new Agent({ keepAlive: true }),
    headers: {
      'Content-Type': 'application/x-www-form-urlencoded',
      'Content-Length': form.length,
    },
  };
  const getToken = () =>
    new Promise((resolve, reject) => {
      const sent = request(url, options, (response) => {
        let body = '';
        response.setEncoding('utf8');
        response.on('data', (chunk) => {
          body += chunk;
        });
        response.on('end', () => resolve(JSON.parse(body).access_token));
      });
      sent.on('error', reject);
      sent.end(form);
    });
  return { getToken, clearCache() {} };
}

module.exports = { makeRaw };
