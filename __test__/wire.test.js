'use strict';

// The parts of a token request and of a token's lifetime that the options determine.

const assert = require('node:assert/strict');
const { describe, test } = require('node:test');
const { start } = require('./support/manager.js');

// `crates/oauth/src/request.rs` checks the requests of every method byte by byte.
describe('the options of a request', { concurrency: true }, () => {
  const post = { grant_type: 'client_credentials', client_id: 'test-client' };
  const parameters = { audience: 'a b&c=d+é', empty: '', absent: undefined, proxy: 'A://É/%' };
  for (const [name, options, form] of [
    [
      'an array of scopes and parameters',
      { scope: ['openid', 'a:b'], parameters },
      { ...post, scope: 'openid a:b', audience: 'a b&c=d+é', empty: '', proxy: 'A://É/%' },
    ],
    ['Basic', { clientAuthentication: 'client_secret_basic' }, { grant_type: post.grant_type }],
  ]) {
    test(`set its form: ${name}`, async (t) => {
      const { endpoint, manager } = await start(t, options);
      await manager.getToken();
      const [{ authentication, parameters: sent, headers }] = endpoint.requests;
      assert.equal(authentication, options.clientAuthentication ?? 'client_secret_post');
      assert.deepEqual({ ...sent }, form);
      assert.equal(headers.accept, 'application/json');
      assert.equal(headers['accept-encoding'], 'identity');
      assert.match(headers['user-agent'], /^keycloak-token-manager\/\d+\.\d+\.\d+/);
      assert.equal(headers['content-type'], 'application/x-www-form-urlencoded');
    });
  }

  test('move the soft expiry, at most to half of the lifetime', async (t) => {
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
