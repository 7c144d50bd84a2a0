'use strict';

/** `manager.withResource`: a manager for another API, with the same token. */

const assert = require('node:assert/strict');
const { describe, test } = require('node:test');
const reconfigure = require('../lib/reconfigure.js');
const { accepting, startApi, startBoth } = require('./support/api-server.js');
const { CLIENT, rejection, start, times } = require('./support/manager.js');

const bearer = ({ headers }) => headers.authorization.replace('Bearer ', '');

describe('withResource', { concurrency: true }, () => {
  test('returns a manager for another API that shares the token, flights and counters', async (t) => {
    const { api, endpoint, manager } = await startBoth(t);
    const other = await startApi(t);
    const derived = manager.withResource({ baseUrl: `${other.url}/v1`, userHeader: 'X-User' });
    const init = { backstageUser: 'user:default/jane' };
    const calls = times(5, () => [
      derived.fetch('agents', init),
      manager.fetch('/'),
      derived.getToken(),
    ]);
    const results = await Promise.all(calls.flat());
    assert.deepEqual(
      new Set(results.map(({ status = 'token-1' }) => status)),
      new Set([200, 'token-1']),
    );
    assert.equal(endpoint.requestCount, 1);
    assert.deepEqual(new Set(other.requests.map(({ url }) => url)), new Set(['/v1/agents']));
    assert.equal(other.requests[0].headers['x-user'], 'user:default/jane');
    assert.equal(other.requests[0].headers['x-backstage-user'], undefined);
    assert.equal(api.requests.length, 5);
    assert.deepEqual(derived.snapshot().counters, manager.snapshot().counters);
    assert.equal((await derived.getAccessToken()).token, 'token-1');
    assert.equal(await derived.getTokenForStreaming(10), 'token-1');
    assert.equal(derived.invalidateToken('token-1'), true);
    assert.equal(await manager.getToken(), 'token-2', 'dropped for both');
    derived.clearCache();
    assert.equal(await manager.getToken(), 'token-3');
  });

  test('does not need the option resource, and does not set it', async (t) => {
    const { manager } = await start(t);
    const api = await startApi(t);
    assert.equal((await manager.withResource({ baseUrl: api.url }).fetch('/a')).status, 200);
    await rejection(manager.fetch('/a'), 'ERR_KEYCLOAK_CONFIG');
  });

  test('sends the token to its own origin only', async (t) => {
    const { api, manager } = await startBoth(t);
    const other = await startApi(t);
    const { fetch } = manager.withResource({ baseUrl: other.url });
    await rejection(fetch(`${api.url}/a`), 'ERR_KEYCLOAK_REQUEST');
    await rejection(manager.fetch(`${other.url}/a`), 'ERR_KEYCLOAK_REQUEST');
    assert.deepEqual([...api.requests, ...other.requests], []);
  });

  test('replaces a token that the other API refuses, for all managers', async (t) => {
    const { endpoint, manager } = await startBoth(t);
    const other = await startApi(t, accepting(new Set(['token-2'])));
    const derived = manager.withResource({ baseUrl: other.url });
    const responses = await Promise.all(times(10, () => derived.fetch('/a', { method: 'POST' })));
    assert.deepEqual(new Set(responses.map(({ status }) => status)), new Set([200]));
    assert.equal(await manager.getToken(), 'token-2');
    assert.equal(endpoint.requestCount, 2);
  });

  test('keeps the history of routes if the program calls it for each request', async (t) => {
    let count = 0;
    const { manager } = await start(t);
    // The API refuses the first and the fourth request, as one replica of several may do.
    const api = await startApi(t, () => {
      count += 1;
      return [count === 1 || count === 4 ? 401 : 200, {}, ''];
    });
    const call = () => manager.withResource({ baseUrl: api.url }).fetch('/agents');
    assert.equal((await call()).status, 200);
    assert.equal((await call()).status, 200);
    // The manager sends this call once more: at once with the same token, or a second later with a
    // new token.
    assert.equal((await call()).status, 200, 'sent once more');
    assert.equal(api.requests.length, 5);
  });

  test('also derives a manager from a derived manager', async (t) => {
    const { manager } = await startBoth(t);
    const other = await startApi(t);
    const derived = manager.withResource({ baseUrl: 'http://127.0.0.1:1' });
    assert.equal((await derived.withResource({ baseUrl: other.url }).fetch('/a')).status, 200);
  });

  test('returns a manager that closes with the original manager', async (t) => {
    const { manager } = await startBoth(t);
    const derived = manager.withResource({ baseUrl: 'http://127.0.0.1:1' });
    await manager.close();
    await rejection(derived.getToken(), 'ERR_KEYCLOAK_CLOSED');
    await rejection(derived.fetch('/'), 'ERR_KEYCLOAK_CLOSED');
    assert.equal(derived.snapshot().state, 'closed');
  });

  test('returns a manager that applies a configuration change', async (t) => {
    const { endpoint, manager } = await start(t);
    const api = await startApi(t);
    const derived = manager.withResource({ baseUrl: api.url });
    await derived.fetch('/');
    const { tokenEndpoint } = endpoint;
    manager[reconfigure]({ ...CLIENT, tokenEndpoint, parameters: { audience: 'a' } });
    await derived.getToken({ forceRefresh: true });
    assert.equal((await derived.fetch('/')).status, 200);
    const [first, second] = api.requests.map(bearer);
    assert.notEqual(first, second);
  });

  const refused = [
    ['nothing', undefined, /resource: expected an object with baseUrl .* got undefined/],
    ['a string', 'https://api.example', /resource: expected an object .* got a string/],
    [
      'no base URL',
      {},
      /resource\.baseUrl: expected an absolute http or https URL, but the option is miss/,
    ],
    [
      'a relative URL',
      { baseUrl: '/v1' },
      /resource\.baseUrl: expected an absolute http or https URL/,
    ],
    [
      'plain http to another host',
      { baseUrl: 'http://api.example' },
      /baseUrl: expected an https URL/,
    ],
    ['an unknown property', { baseUrl: 'https://a', url: 'b' }, /resource\.url: no such option/],
    [
      'an invalid header',
      { baseUrl: 'https://a', userHeader: 'Cookie' },
      /resource\.userHeader: exp/,
    ],
    [
      'an invalid fetch',
      { baseUrl: 'https://a', fetch: 1 },
      /resource\.fetch: expected a function/,
    ],
  ];
  for (const [what, resource, message] of refused) {
    test(`refuses ${what}`, async (t) => {
      const { manager } = await start(t);
      const expected = { name: 'KeycloakTokenError', code: 'ERR_KEYCLOAK_CONFIG', message };
      assert.throws(() => manager.withResource(resource), expected);
    });
  }

  test('accepts plain http for every spelling of a loopback address', async (t) => {
    const { manager } = await start(t);
    for (const baseUrl of ['http://127.0.0.1', 'http://localhost/v1', 'http://[::1]:8080']) {
      manager.withResource({ baseUrl });
    }
  });

  test('reports an exception from a getter of the resource', async (t) => {
    const { manager } = await start(t);
    const cause = new RangeError('unreadable');
    const resource = {
      get baseUrl() {
        throw cause;
      },
    };
    const error = { code: 'ERR_KEYCLOAK_CONFIG', cause };
    assert.throws(() => manager.withResource(resource), error);
  });
});
