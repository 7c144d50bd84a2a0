'use strict';

/** The augment plugin's calls, with a manager in place of its class. */

const assert = require('node:assert/strict');
const { describe, test } = require('node:test');
const { startApi } = require('../support/api-server.js');
const { delay, start, times } = require('../support/manager.js');
const { KagentiProvider } = require('./augment-client.js');

const LIMIT_MS = 60_000;
const FLAGS = { sandbox: true, integrations: true, triggers: true };
const EVENTS = ['data: {"text":"é', 'clair"}\n\ndata: [DO', 'NE]\n\n'];

/** Start-up times in s with augment's own class, by the time in s for which Keycloak is down. */
const OWN_CLASS_SECONDS = { 0.6: 1, 2.5: 3, 6: 7 };

/** Starts an API like Kagenti's, which answers 401 to requests without an accepted token. */
async function startKagenti(t, isAccepted = () => true) {
  return startApi(t, async ({ url, headers }, response) => {
    if (url === '/health') return '{"status":"healthy"}';
    const token = headers.authorization?.replace('Bearer ', '') ?? '';
    if (token.split('.').length !== 3 || !isAccepted(token)) return [401, {}, '{"detail":"no"}'];
    if (url.endsWith('/features')) return JSON.stringify(FLAGS);
    response.writeHead(200, { 'content-type': 'text/event-stream' });
    for (const part of EVENTS) {
      response.write(part);
      await delay(20);
    }
    response.end();
  });
}

describe('augment', { concurrency: true, timeout: LIMIT_MS }, () => {
  for (const [seconds, ownSeconds] of Object.entries(OWN_CLASS_SECONDS)) {
    test(`has all feature flags if Keycloak refuses connections for ${seconds} s at its start`, async (t) => {
      const { endpoint, manager } = await start(t);
      const api = await startKagenti(t);
      const provider = new KagentiProvider({ baseUrl: api.url }, manager);
      t.after(() => provider.shutdown());
      await endpoint.goOffline();
      const startedAt = performance.now();
      const booted = provider.initialize();
      await delay(seconds * 1_000);
      await endpoint.goOnline();
      await booted;
      const took = ((performance.now() - startedAt) / 1_000).toFixed(1);
      t.diagnostic(`boot: ${took} s; with augment's own class about ${ownSeconds} s`);
      assert.deepEqual(provider.flags, FLAGS, provider.failures.join('\n'));
      assert.equal(endpoint.requestCount, 1);
    });
  }

  test('streams for twenty users at once, with one login', async (t) => {
    const { endpoint, manager } = await start(t);
    const api = await startKagenti(t);
    const providers = times(20, () => new KagentiProvider({ baseUrl: api.url }, manager));
    await Promise.all(
      providers.map(async (provider, index) => {
        const events = [];
        await provider.chat(`user:default/${index}`, 'hello', (event) => events.push(event));
        assert.deepEqual(events, ['{"text":"éclair"}']);
        provider.shutdown();
      }),
    );
    const users = new Set(api.requests.map(({ headers }) => headers['x-backstage-user']));
    assert.equal(users.size, 20);
    assert.equal(endpoint.requestCount, 1);
  });

  test('uses a base URL that an administrator has changed, with the same token', async (t) => {
    const { endpoint, manager } = await start(t, {}, { expiresIn: 600 });
    const [before, after] = [await startKagenti(t), await startKagenti(t)];
    const settings = { baseUrl: before.url };
    const provider = new KagentiProvider(settings, manager);
    await provider.initialize();
    await provider.chat('user:default/jane', 'hello', () => {});
    settings.baseUrl = `${after.url}/`;
    await provider.chat('user:default/jane', 'hello', () => {});
    const [{ headers }] = after.requests;
    assert.equal(headers.authorization, before.requests.at(-1).headers.authorization);
    assert.equal(endpoint.requestCount, 1);
    // The plugin may start again after its shutdown.
    provider.shutdown();
    await provider.initialize();
    assert.deepEqual(provider.failures, []);
    assert.equal(endpoint.requestCount, 2);
    provider.shutdown();
  });

  test('gets a new token after a 401 from a newly deployed agent', async (t) => {
    const { endpoint, manager } = await start(t);
    const held = await manager.getToken();
    const api = await startKagenti(t, (token) => token !== held);
    const provider = new KagentiProvider({ baseUrl: api.url }, manager);
    await provider.initialize();
    assert.deepEqual(provider.flags, FLAGS);
    assert.equal(endpoint.requestCount, 2);
    provider.shutdown();
  });
});
