'use strict';

// As defects.test.js, for the API clients that `fetch` replaces: each test runs one scenario twice,
// and the plain client (bench/baseline) is seen to fail.

const assert = require('node:assert/strict');
const { describe, test } = require('node:test');
const { AugmentApiClient, BoostApiClient } = require('../bench/baseline/plain-api-client.js');
const { accepting, startApi } = require('./support/api-server.js');
const { augment, failure, gate, open, ours, sharedBoost } = require('./support/defects.js');
const { times } = require('./support/manager.js');

const RETRY_MS = 1;
const OLD_SECRET = { clientSecret: 'the-old-one' };

async function plainAugment(t, api, answer, options) {
  const tokenManager = augment(t, await open(t, answer), options);
  const client = new AugmentApiClient({ baseUrl: api.url, tokenManager, retryMs: RETRY_MS });
  return Object.assign(client, { endpoint: tokenManager.endpoint, tokenManager });
}

async function plainBoost(t, api) {
  const authClient = sharedBoost(t, await open(t));
  const client = new BoostApiClient({ baseUrl: api.url, authClient });
  return Object.assign(client, { endpoint: authClient.endpoint, authClient });
}

async function right(t, api, answer, options) {
  return ours(t, await open(t, answer), { resource: { baseUrl: api.url }, ...options });
}

/** Answers with each of the statuses once, and then with 200. */
function inTurn(...statuses) {
  return (_, response) => {
    response.writeHead(statuses.shift() ?? 200);
    return 'done';
  };
}

const textOf = async (call) => (await call).text();

describe('the plain API clients and fetch', { concurrency: true, timeout: 30_000 }, () => {
  test('RA-11: a failure of Keycloak is not taken for a 401 of the API', async (t) => {
    const api = await startApi(t);
    const refused = await plainAugment(t, api, undefined, OLD_SECRET);
    await assert.rejects(refused.request('GET', '/'), /token request failed with status 401/);
    assert.equal(refused.endpoint.requestCount, 2, 'two failed logins for one call');
    const down = await plainAugment(t, api, () => ({ status: 503 }));
    await assert.rejects(down.request('GET', '/'), /token request failed with status 503/);
    assert.equal(down.endpoint.requestCount, 4);

    const manager = await right(t, api, undefined, OLD_SECRET);
    for (const _ of times(10)) {
      assert.equal((await failure(manager.fetch('/'))).code, 'ERR_KEYCLOAK_OAUTH');
    }
    assert.equal(manager.endpoint.requestCount, 1, 'one failed login for ten calls');
    const outage = await right(t, api, () => ({ status: 503 }));
    for (const _ of times(10)) {
      assert.equal((await failure(outage.fetch('/'))).code, 'ERR_KEYCLOAK_HTTP');
    }
    assert.equal(outage.endpoint.requestCount, 3, 'one acquisition of three attempts');
    assert.equal(api.requests.length, 0);
  });

  test('RA-18: a 401 is dealt with whenever it comes', async (t) => {
    const api = await startApi(t, inTurn(503, 401));
    const plain = await plainAugment(t, api);
    await assert.rejects(plain.request('GET', '/'), /API request failed with status 401/);
    assert.equal(plain.endpoint.requestCount, 1, 'the refused token is still in use');

    const manager = await right(t, await startApi(t, inTurn(503, 401)));
    assert.equal((await manager.fetch('/')).status, 503);
    assert.equal((await manager.fetch('/')).status, 200, 'a repeated call');
    assert.equal(manager.endpoint.requestCount, 2);

    const moved = await startApi(t, ({ url, headers }, response) => {
      if (url === '/') response.writeHead(307, { location: '/there' });
      else if (headers.authorization === `Bearer ${revoked}`) response.writeHead(401);
      return 'done';
    });
    const behind = await right(t, moved);
    const revoked = await behind.getToken();
    assert.equal((await behind.fetch('/')).status, 200, 'behind a redirect');
    assert.equal(behind.endpoint.requestCount, 2);
  });

  test('RA-19: what may have been done is not done again', async (t) => {
    const breaks = (request, response) => {
      if (request.url === '/reset') response.socket.resetAndDestroy();
      else response.writeHead(Number(request.url.slice(1))).end('no');
    };
    for (const path of ['/502', '/503', '/504', '/reset']) {
      for (const method of ['POST', 'DELETE']) {
        const api = await startApi(t, breaks);
        await failure((await plainAugment(t, api)).request(method, path));
        assert.equal(api.requests.length, 4, `${method} ${path}`);

        const spared = await startApi(t, breaks);
        const call = (await right(t, spared)).fetch(path, { method });
        if (path === '/reset') assert.equal((await failure(call)).cause.code, 'ECONNRESET');
        else assert.equal((await call).status, Number(path.slice(1)));
        assert.equal(spared.requests.length, 1, `${method} ${path}`);
      }
    }
  });

  test('RA-20: a call is made for its own user, whoever calls meanwhile', async (t) => {
    const api = await startApi(t, ({ headers }) => headers['x-backstage-user']);
    const users = ['user:default/a', 'user:default/b'];

    const later = gate();
    const plain = await plainAugment(t, api, () => later.opened);
    const misled = users.map((user) => {
      plain.setRequestContext({ user });
      return plain.request('GET', '/');
    });
    later.open();
    assert.deepEqual(await Promise.all(misled), [users[1], users[1]], "A's call is made for B");

    const open = gate();
    const manager = await right(t, api, () => open.opened);
    const calls = users.map((backstageUser) => textOf(manager.fetch('/', { backstageUser })));
    open.open();
    assert.deepEqual(await Promise.all(calls), users);
  });

  test('RB-6: a 401 costs no connection', async (t) => {
    // More than any Node takes in unread.
    const page = Buffer.alloc(200 * 1024, 'refused ');
    const everyOther = () => {
      let number = 0;
      return (_, response) => {
        number += 1;
        if (number % 2 === 0) return 'done';
        response.writeHead(401);
        return page;
      };
    };
    const cycles = 20;

    const api = await startApi(t, everyOther());
    const plain = await plainBoost(t, api);
    for (const _ of times(cycles)) assert.equal(await textOf(plain.request('/')), 'done');
    assert.ok(api.connectionCount >= cycles, `${api.connectionCount} connections`);

    const drained = await startApi(t, everyOther());
    for (const _ of times(cycles)) {
      // A manager of its own each time, since rejections are spaced.
      const manager = await right(t, drained);
      assert.equal(await textOf(manager.fetch('/')), 'done');
    }
    assert.equal(drained.requests.length, 2 * cycles);
    assert.ok(drained.connectionCount <= 2, `${drained.connectionCount} connections`);
  });

  test('RB-7: neither one revoked token nor a refusing API makes a storm of logins', async (t) => {
    const stormed = async (make, call) => {
      const valid = new Set();
      const first = gate();
      let refused = 0;
      const api = await startApi(t, async (request, response) => {
        const answer = accepting(valid)(request, response);
        // The 401s of the fifty calls in progress arrive one after the other.
        if (answer === 'refused') {
          refused += 1;
          const turn = refused;
          await first.opened;
          await new Promise((resolve) => setTimeout(resolve, 10 * turn));
        }
        return answer;
      });
      const client = await make(t, api);
      const { endpoint } = client;
      await (client.authClient ?? client).getToken();
      endpoint.setAnswer(() => {
        const token = endpoint.issueToken();
        valid.add(token);
        return { body: { access_token: token, token_type: 'Bearer', expires_in: 300 } };
      });
      const calls = times(50, () => call(client).then(textOf));
      await api.arrived(50);
      first.open();
      assert.deepEqual(new Set(await Promise.all(calls)), new Set(['ok']));
      return endpoint.requestCount - 1;
    };
    assert.ok((await stormed(plainBoost, (client) => client.request('/'))) > 2);
    assert.equal(await stormed(right, (client) => client.fetch('/')), 1);

    const refusing = await startApi(t, accepting(new Set()));
    const plain = await plainBoost(t, refusing);
    for (const _ of times(5)) await textOf(plain.request('/'));
    assert.equal(plain.endpoint.requestCount, 6, 'each call is a login');
    const manager = await right(t, refusing);
    const started = performance.now();
    for (const _ of times(50)) await textOf(manager.fetch('/'));
    assert.ok(performance.now() - started < 5000, 'less than a pause of 100 ms for each call');
    assert.ok(manager.endpoint.requestCount <= 4, `${manager.endpoint.requestCount} logins`);
  });
});
