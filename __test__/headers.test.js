'use strict';

// The option `headers`: the requests that carry them, refused names and values, and redaction.

const assert = require('node:assert/strict');
const http = require('node:http');
const { inspect } = require('node:util');
const { describe, test } = require('node:test');
const { KeycloakTokenManager } = require('..');
const { listen } = require('./support/listen.js');
const { CLIENT, openManager, rejection, tokenResponse } = require('./support/manager.js');

/** A hanging test must fail. */
const LIMIT_MS = 30_000;
const KEY = 'canary-gateway-key-17';
const HEADERS = {
  'X-Forwarded-Access-Token': KEY,
  'X-Api-Key': KEY,
  'User-Agent': 'portal/1',
  'X-Forwarded-Proto': 'https',
};

/** A server whose requests are in `requests`; `answer(request)` returns a status and JSON. */
async function serve(t, answer) {
  const requests = [];
  const server = http.createServer((request, response) => {
    requests.push(request);
    request.resume().on('end', () => {
      const [status, value] = answer(request);
      response.writeHead(status, { 'Content-Type': 'application/json' });
      response.end(JSON.stringify(value));
    });
  });
  const { url } = await listen(t, server);
  return { url, requests };
}

const token = () => [200, tokenResponse('token-1', 300)];

describe('headers', { timeout: LIMIT_MS }, () => {
  for (const [name, tokenFetch] of [
    ['natively', undefined],
    ['by tokenFetch', true],
  ]) {
    test(`are sent ${name} with requests for a document and a token`, async (t) => {
      const { url, requests } = await serve(t, ({ method }) =>
        method === 'POST'
          ? token()
          : [200, { issuer: `${url}/realms/r`, token_endpoint: `${url}/token` }],
      );
      const manager = openManager(t, { issuer: `${url}/realms/r`, headers: HEADERS, tokenFetch });
      assert.equal(await manager.getToken(), 'token-1');
      assert.deepEqual(
        requests.map(({ method }) => method),
        ['GET', 'POST'],
      );
      for (const { headers } of requests) {
        assert.equal(headers['x-api-key'], KEY);
        assert.equal(headers['user-agent'], 'portal/1');
        assert.equal(headers['x-forwarded-proto'], 'https');
        assert.equal(headers['accept-encoding'], 'identity');
      }
    });
  }

  test('are not sent to another origin without https', async (t) => {
    const other = await serve(t, token);
    const { url, requests } = await serve(t, () => [
      200,
      { issuer: `${url}/realms/r`, token_endpoint: `${other.url}/token` },
    ]);
    const manager = openManager(t, { issuer: `${url}/realms/r`, headers: HEADERS });
    assert.equal(await manager.getToken(), 'token-1');
    assert.equal(requests[0].headers['x-api-key'], KEY);
    assert.equal(other.requests[0].headers['x-api-key'], undefined);
  });

  for (const [name, answer] of [
    ['an OAuth error', [400, { error: 'invalid_request', error_description: `bad ${KEY}` }]],
    [
      'a document',
      [200, { issuer: `https://a.example/${KEY}`, token_endpoint: 'https://a.example' }],
    ],
  ]) {
    test(`are redacted in ${name} that repeats one`, async (t) => {
      const { url } = await serve(t, () => answer);
      const target = answer[0] === 200 ? { issuer: `${url}/r` } : { tokenEndpoint: `${url}/t` };
      const manager = openManager(t, { ...target, headers: HEADERS });
      const code = answer[0] === 200 ? 'ERR_KEYCLOAK_PROTOCOL' : 'ERR_KEYCLOAK_OAUTH';
      const error = await rejection(manager.getToken(), code);
      const shown = [
        inspect(error, { depth: 9 }),
        inspect(manager, { showHidden: true, depth: 9 }),
      ];
      assert.ok(!shown.join().includes(KEY), shown.join());
    });
  }

  for (const [name, headers, problem] of [
    ['a string', KEY, /headers: expected an object of strings, got a string/],
    ['Authorization', { Authorization: KEY }, /headers: "Authorization" may not be set/],
    ['a header of the form', { 'content-type': KEY }, /headers: "content-type" may not be set/],
    [
      'a header for a proxy',
      { 'Proxy-Authorization': KEY },
      /"Proxy-Authorization" may not be set/,
    ],
    ["an answer's cookie", { 'Set-Cookie': KEY }, /"Set-Cookie" may not be set/],
    ['a header for an upgrade', { 'HTTP2-Settings': KEY }, /"HTTP2-Settings" may not be set/],
    ['a cookie', { Cookie: KEY }, /headers: "Cookie" may not be set/],
    ['a name with a line break', { 'a\r\nb': KEY }, /headers: "a\\r\\nb" is not the name/],
    [
      'a value with a line break',
      { a: `${KEY}\r\nb: c` },
      /headers\.a: expected a non-empty string/,
    ],
    [
      'a value with a letter beyond ASCII',
      { a: `${KEY}é` },
      /headers\.a: expected a non-empty str/,
    ],
    ['a number', { a: 1 }, /headers\.a: expected a non-empty string .+, got a number/],
    ['one name twice', { 'X-A': KEY, 'x-a': KEY }, /headers: "x-a" is given twice/],
  ]) {
    test(`are refused, and the error names the option: ${name}`, () => {
      const options = { ...CLIENT, tokenEndpoint: 'https://sso.example/token', headers };
      assert.throws(
        () => new KeycloakTokenManager(options),
        (error) => {
          assert.equal(error.code, 'ERR_KEYCLOAK_CONFIG');
          assert.match(error.message, problem);
          assert.ok(!error.message.includes(KEY), error.message);
          return true;
        },
      );
    });
  }
});
