'use strict';

// The minimum with Node's own client: a form over a keep-alive connection, and JSON parsed. It has
// no deadline, no check of the status and no cache.

const credentials = require('./credentials.js');

class RawClient {
  #request;
  #url;
  #options;
  #form;

  constructor(tokenEndpoint) {
    const secure = tokenEndpoint.startsWith('https:');
    const { Agent, request } = secure ? require('node:https') : require('node:http');
    this.#request = request;
    this.#url = new URL(tokenEndpoint);
    this.#form = new URLSearchParams({
      grant_type: 'client_credentials',
      client_id: credentials.clientId,
      client_secret: credentials.clientSecret,
    }).toString();
    this.#options = {
      method: 'POST',
      agent: new Agent({ keepAlive: true }),
      headers: {
        'Content-Type': 'application/x-www-form-urlencoded',
        'Content-Length': this.#form.length,
      },
    };
  }

  getToken() {
    return new Promise((resolve, reject) => {
      const request = this.#request(this.#url, this.#options, (response) => {
        let body = '';
        response.setEncoding('utf8');
        response.on('data', (chunk) => {
          body += chunk;
        });
        response.on('end', () => resolve(JSON.parse(body).access_token));
      });
      request.on('error', reject);
      request.end(this.#form);
    });
  }

  clearCache() {}
}

module.exports = { RawClient };
