'use strict';

// The parts of a token request that the options determine.

const assert = require('node:assert/strict');
const http = require('node:http');
const { describe, test } = require('node:test');
const { KeycloakTokenManager } = require('..');
const { listen } = require('./support/listen.js');
const { start, tokenResponse } = require('./support/manager.js');

describe('options on the wire', { concurrency: true }, () => {
  const both = { grant_type: 'client_credentials', client_id: 'test-client' };
  for (const [name, options, form] of [
    ['nothing more', {}, both],
    ['a scope', { scope: 'openid profile' }, { ...both, scope: 'openid profile' }],
    ['an array of scopes', { scope: ['openid', 'a:b'] }, { ...both, scope: 'openid a:b' }],
    [
      'parameters',
      { parameters: { audience: 'a b&c=d+é', empty: '', absent: undefined, proxy: 'A://É/%' } },
      { ...both, audience: 'a b&c=d+é', empty: '', proxy: 'A://É/%' },
    ],
    [
      'Basic',
      { clientAuthentication: 'client_secret_basic' },
      { grant_type: 'client_credentials' },
    ],
  ]) {
    test(`${name}: the form holds what was asked for`, async (t) => {
      const { endpoint, manager } = await start(t, options);
      await manager.getToken();
      const [request] = endpoint.requests;
      const { clientAuthentication = 'client_secret_post' } = options;
      assert.equal(request.authentication, clientAuthentication);
      assert.deepEqual({ ...request.parameters }, form);
      const { headers } = request;
      assert.equal(headers.accept, 'application/json');
      assert.equal(headers['accept-encoding'], 'identity');
      assert.match(headers['user-agent'], /^keycloak-token-manager\/\d+\.\d+\.\d+/);
      assert.equal(headers['content-type'], 'application/x-www-form-urlencoded');
    });
  }

  test('Basic has both parts form-encoded first, post has them in the form', async (t) => {
    const clientId = 'a:b c';
    const clientSecret = 'p+%:/&=é~';
    const seen = [];
    const server = http.createServer(async (request, response) => {
      let body = '';
      for await (const chunk of request) body += chunk;
      seen.push({ authorization: request.headers.authorization, form: new URLSearchParams(body) });
      response.end(JSON.stringify(tokenResponse('a-token', 300)));
    });
    const tokenEndpoint = `${(await listen(t, server)).url}/token`;
    for (const clientAuthentication of ['client_secret_basic', 'client_secret_post']) {
      const options = { tokenEndpoint, clientId, clientSecret, clientAuthentication };
      const manager = new KeycloakTokenManager(options);
      assert.equal(await manager.getToken(), 'a-token');
      await manager.close();
    }
    const [basic, post] = seen;
    const pair = 'a%3Ab+c:p%2B%25%3A%2F%26%3D%C3%A9%7E';
    assert.equal(basic.authorization, `Basic ${Buffer.from(pair).toString('base64')}`);
    assert.deepEqual([...basic.form.keys()], ['grant_type']);
    assert.equal(post.authorization, undefined);
    assert.equal(post.form.get('client_id'), clientId);
    assert.equal(post.form.get('client_secret'), clientSecret);
  });

  test('the buffer moves the soft end, at most to half of the life', async (t) => {
    for (const [tokenExpiryBufferSeconds, soft] of [
      [undefined, 240],
      [0, 299],
      [100, 200],
      [1000, 150],
    ]) {
      const { manager } = await start(t, { tokenExpiryBufferSeconds });
      await manager.getToken();
      const { tokenAgeSeconds, secondsToSoftExpiry } = manager.snapshot();
      assert.ok(Math.abs(tokenAgeSeconds + secondsToSoftExpiry - soft) < 0.001, `${soft}`);
    }
  });
});
