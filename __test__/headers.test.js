'use strict';

// The option `headers`: the requests that carry the headers, refused names and values, and
// redaction.

const assert = require('node:assert/strict');
const { inspect } = require('node:util');
const { describe, test } = require('node:test');
const { KeycloakTokenManager } = require('..');
const { startApi } = require('./support/api-server.js');
const { CLIENT, openManager, rejection, tokenJson } = require('./support/manager.js');

/** A hanging test must fail. */
const LIMIT_MS = 30_000;
const KEY = 'canary-gateway-key-17';
const HEADERS = {
  'X-Forwarded-Access-Token': KEY,
  'X-Api-Key': KEY,
  'User-Agent': 'portal/1',
  'X-Forwarded-Proto': 'https',
};

describe('headers', { timeout: LIMIT_MS }, () => {
  for (const [name, tokenFetch] of [
    ['by the native transport', undefined],
    ['by tokenFetch', true],
  ]) {
    test(`sent ${name} are in the requests for a document and a token`, async (t) => {
      const { url, requests } = await startApi(t, ({ method }) =>
        method === 'POST'
          ? tokenJson()
          : JSON.stringify({ issuer: `${url}/realms/r`, token_endpoint: `${url}/token` }),
      );
      const manager = openManager(t, { issuer: `${url}/realms/r`, headers: HEADERS, tokenFetch });
      assert.equal(await manager.getToken(), 'token-1');
      assert.deepEqual([requests[0].method, requests[1].method], ['GET', 'POST']);
      for (const { headers } of requests) {
        assert.equal(headers['x-api-key'], KEY);
        assert.equal(headers['user-agent'], 'portal/1');
        assert.equal(headers['x-forwarded-proto'], 'https');
        assert.equal(headers['accept-encoding'], 'identity');
      }
    });
  }

  test('do not go to another origin without https', async (t) => {
    const other = await startApi(t, () => tokenJson());
    const { url, requests } = await startApi(t, () =>
      JSON.stringify({ issuer: `${url}/realms/r`, token_endpoint: `${other.url}/token` }),
    );
    const manager = openManager(t, { issuer: `${url}/realms/r`, headers: HEADERS });
    assert.equal(await manager.getToken(), 'token-1');
    assert.equal(requests[0].headers['x-api-key'], KEY);
    assert.equal(other.requests[0].headers['x-api-key'], undefined);
  });

  for (const [name, code, status, answer] of [
    ['an OAuth error', 'OAUTH', 400, { error: 'invalid_request', error_description: `bad ${KEY}` }],
    ['a document', 'PROTOCOL', 200, { issuer: `https://a.example/${KEY}`, token_endpoint: 'x' }],
  ]) {
    test(`do not appear in the message about ${name} that repeats a value`, async (t) => {
      const { url } = await startApi(t, () => [status, {}, JSON.stringify(answer)]);
      const target = status === 200 ? { issuer: `${url}/r` } : { tokenEndpoint: `${url}/t` };
      const manager = openManager(t, { ...target, headers: HEADERS });
      const error = await rejection(manager.getToken(), `ERR_KEYCLOAK_${code}`);
      const shown = inspect([error, manager], { showHidden: true, depth: 9 });
      assert.ok(!shown.includes(KEY), shown);
    });
  }

  // `crates/oauth/src/headers.rs` lists the other refused names and values.
  for (const [name, headers, problem] of [
    ['Authorization', { Authorization: KEY }, /headers: "Authorization" is reserved/],
    ["an answer's cookie", { 'Set-Cookie': KEY }, /"Set-Cookie" is reserved/],
    ['a header for an upgrade', { 'HTTP2-Settings': KEY }, /"HTTP2-Settings" is reserved/],
    ['a name with a line break', { 'a\r\nb': KEY }, /headers: "a\\r\\nb" is not the name/],
    ['a value with a line break', { a: `${KEY}\r\nb: c` }, /headers\.a: expected a non-empty str/],
    ['a number', { a: 1 }, /headers\.a: expected a non-empty string .+, got a number/],
    ['one name twice', { 'X-A': KEY, 'x-a': KEY }, /headers: "x-a" is given twice/],
  ]) {
    test(`with an invalid name or value cause an error that names the option: ${name}`, () => {
      const options = { ...CLIENT, tokenEndpoint: 'https://sso.example/token', headers };
      assert.throws(
        () => new KeycloakTokenManager(options),
        ({ code, message }) => {
          assert.equal(code, 'ERR_KEYCLOAK_CONFIG');
          assert.ok(!message.includes(KEY), message);
          return problem.test(message);
        },
      );
    });
  }
});
