'use strict';

// The behaviour of a manager's `fetch` behind gateways: redirects to a login page, a 401 that is not
// about the token, and replicas that disagree.

const assert = require('node:assert/strict');
const { describe, test } = require('node:test');
const { bearer, startApi, startBoth } = require('./support/api-server.js');
const { rejection, tokenResponse } = require('./support/manager.js');

describe('a redirect to a login page', { concurrency: true }, () => {
  /** Starts an API whose gateway redirects requests without `token-2` to the location. */
  const startGateway = async (t, locate) => {
    const other = await startApi(t);
    const parts = await startBoth(t, (request) => {
      const Location = locate(other.url, parts.endpoint.tokenEndpoint);
      return bearer(request) === 'token-2' ? 'ok' : [302, { Location }];
    });
    return { ...parts, other };
  };
  const elsewhere = 'http://127.0.0.2:9';
  for (const [name, locate] of [
    ['of the authorization server', (_, endpoint) => new URL('/x', endpoint).href],
    ['with the query of such a request', (url) => `${url}/?client_id=a&response_type=code`],
    ['whose path ends in /auth', () => `${elsewhere}/realms/r/protocol/openid-connect/auth?a=b`],
    ['whose path ends in /authorize', () => `${elsewhere}/authorize`],
    ['whose path ends in /login/', () => `${elsewhere}/login/`],
  ]) {
    test(`${name} counts as a 401`, async (t) => {
      const { api, endpoint, manager, other } = await startGateway(t, locate);
      const response = await manager.fetch('/agents');
      assert.equal(await response.text(), 'ok');
      assert.deepEqual(api.requests.map(bearer), ['token-1', 'token-2']);
      assert.deepEqual([endpoint.requestCount, other.requests.length], [2, 0]);
    });
  }

  test('rejects a POST, which the API may have executed, and drops the token', async (t) => {
    const { api, manager } = await startGateway(t, () => `${elsewhere}/login`);
    const call = manager.fetch('/agents', { method: 'POST', body: 'a' });
    const { message } = await rejection(call, 'ERR_KEYCLOAK_REQUEST');
    assert.match(message, /redirects to http:\/\/127\.0\.0\.2:9, probably a login page/);
    assert.equal(api.requests.length, 1);
    assert.equal(await manager.getToken(), 'token-2');
  });

  test('rejects a call if it also answers the new token', async (t) => {
    const { api, manager } = await startBoth(t, () => [303, { Location: `${elsewhere}/login` }]);
    const { message } = await rejection(manager.fetch('/'), 'ERR_KEYCLOAK_REQUEST');
    assert.match(message, /probably a login page/);
    assert.equal(api.requests.length, 2);
  });

  test('after redirects within the origin makes `fetch` repeat the original call', async (t) => {
    let accepted = 'token-2';
    const { api, manager } = await startBoth(t, (request) => {
      if (request.url === '/start') return [302, { Location: `${elsewhere}/login` }];
      return bearer(request) === accepted ? 'ok' : [302, { Location: '/start' }];
    });
    assert.equal(await (await manager.fetch('/agents')).text(), 'ok');
    const urls = () => api.requests.map(({ url }) => url);
    assert.deepEqual(urls(), ['/agents', '/start', '/agents']);
    accepted = 'none';
    api.requests.length = 0;
    await rejection(manager.fetch('/agents', { method: 'POST' }), 'ERR_KEYCLOAK_REQUEST');
    assert.deepEqual(urls(), ['/agents', '/start'], 'a POST is not sent again');
  });

  for (const [name, init, location] of [
    ['is the response with redirect: manual', { redirect: 'manual' }, `${elsewhere}/login`],
    ['within the origin is like any other redirect', {}, '/login'],
  ]) {
    test(name, async (t) => {
      const { api, endpoint, manager } = await startBoth(t, ({ url }) =>
        url === '/login' ? 'a page' : [302, { Location: location }],
      );
      assert.equal((await manager.fetch('/', init)).status, init.redirect ? 302 : 200);
      assert.equal(endpoint.requestCount, 1);
      assert.equal(api.requests.length, init.redirect ? 1 : 2);
    });
  }

  test('differs from a redirect to any other page of another origin', async (t) => {
    const { endpoint, manager } = await startGateway(t, (url) => `${url}/loginpage`);
    const { message } = await rejection(manager.fetch('/'), 'ERR_KEYCLOAK_REQUEST');
    assert.doesNotMatch(message, /login page/);
    assert.equal(await manager.getToken(), 'token-1');
    assert.equal(endpoint.requestCount, 1);
  });

  test('causes an error that does not show a token in its host name', async (t) => {
    const token = 'opaque-canary-token';
    const { endpoint, manager } = await startBoth(t, () => [
      302,
      { location: `https://${token}.example/login` },
    ]);
    endpoint.setAnswer({ body: tokenResponse(token, 300) });
    const { message } = await rejection(manager.fetch('/'), 'ERR_KEYCLOAK_REQUEST');
    assert.match(message, /an origin that contains a part of the token/);
    assert.ok(!message.includes('canary'), message);
  });
});

describe('a 401', { concurrency: true }, () => {
  for (const [challenge, isAboutToken] of [
    ['', true],
    ['Bearer', true],
    ['bearer error="invalid_token"', true],
    ['Negotiate, Bearer realm="a"', true],
    ['DPoP algs="ES256"', true],
    ['DPoP error="invalid_token"', true],
    ['DPoP error="invalid_dpop_proof"', false],
    ['DPoP error="use_dpop_nonce"', false],
    ['JWT realm="api"', true],
    ['OAuth realm="a", error="invalid_token"', true],
    ['error="invalid_token"', true],
    ['Basic realm="a", charset="UTF-8"', false],
    ['Basic realm="a"', false],
    ['Basic realm="a, Bearer"', false],
    ['Negotiate', false],
    ['Token realm="api"', true],
    ['ApiKey realm="a"', false],
    ['Cookie cookie-name="session"', false],
    ['FormBased', false],
    ['AWS4-HMAC-SHA256', false],
    ['PrivateToken challenge="abc=", token-key="123="', false],
    ['xBasic realm="Bearer"', false],
    ['ApiKey error="invalid_token"', true],
    ['Bearer error="insufficient_user_authentication"', false],
  ]) {
    const name = `with "${challenge}" is ${isAboutToken ? '' : 'not '}about the token`;
    test(name, async (t) => {
      const fields = challenge === '' ? {} : { 'WWW-Authenticate': challenge };
      const { endpoint, manager } = await startBoth(t, (request) =>
        bearer(request) === 'token-2' ? 'ok' : [401, fields],
      );
      assert.equal((await manager.fetch('/')).status, isAboutToken ? 200 : 401);
      assert.equal(endpoint.requestCount, isAboutToken ? 2 : 1);
    });
  }

  test('from one replica during concurrent calls fails no call, and the manager keeps the token', async (t) => {
    const refused = new Set();
    const { endpoint, manager } = await startBoth(t, ({ url }) => {
      // Refuses the first request for each URL with a query.
      const isRefused = url.includes('?') && !refused.has(url);
      refused.add(url);
      return [isRefused ? 401 : 200];
    });
    const call = async (query = '') => (await manager.fetch(`/agents${query}`)).status;
    assert.equal(await call(), 200);
    manager.invalidateToken('token-1', 'another route');
    assert.equal(await call(), 200);
    const statuses = await Promise.all(Array.from({ length: 20 }, (_, id) => call(`?${id}`)));
    assert.deepEqual(new Set(statuses), new Set([200]));
    assert.equal(endpoint.requestCount, 2, 'the token is kept');
  });

  test('from a test double without headers is about the token', async (t) => {
    const fetch = async () => ({ status: 401, headers: {} });
    const { endpoint, manager } = await startBoth(t, undefined, { resource: { fetch } });
    assert.equal((await manager.fetch('/')).status, 401);
    assert.equal(endpoint.requestCount, 2);
  });

  test('from one replica makes `fetch` send the call once more', async (t) => {
    let refusals = [];
    const { api, endpoint, manager } = await startBoth(t, () => [refusals.shift() ?? 200]);
    const call = async () => (await manager.fetch('/agents')).status;
    assert.equal(await call(), 200);
    refusals = [401];
    assert.equal(await call(), 200, 'with a new token');
    assert.equal(await call(), 200);
    refusals = [401];
    assert.equal(await call(), 200, 'with the same token, which the spacing keeps');
    refusals = [401, 401];
    assert.equal(await call(), 401, 'refused twice');
    assert.equal(endpoint.requestCount, 2);
    assert.equal(api.requests.length, 8);
  });
});
