'use strict';

/** The service of several managers: how it finds them by name and by options, and closes them. */

const assert = require('node:assert/strict');
const { describe, test } = require('node:test');
const { setTimeout: delay } = require('node:timers/promises');
const v8 = require('node:v8');
const vm = require('node:vm');
const { startApi } = require('../support/api-server.js');
const { until } = require('../support/manager.js');
const { CLIENT, keeper, nest, startBackend, useWorkspace } = require('./support.js');

const CLIENTS = Object.fromEntries(
  Array.from({ length: 500 }, (_, index) => [`client-${index}`, `secret-${index}`]),
);
const clientOf = (token) => JSON.parse(Buffer.from(token.split('.')[1], 'base64url')).azp;

v8.setFlagsFromString('--expose-gc');
const gc = vm.runInNewContext('gc');
/**
 * Frees the objects that previous turns dropped. A weak reference holds its target for one turn.
 */
async function collect() {
  await new Promise(setImmediate);
  gc();
}

describe('the service of several managers', () => {
  const workspace = useWorkspace();
  const backstage = () => workspace.require('keycloak-token-manager/backstage');

  /** Starts two plugins with the service, and an endpoint for 500 clients and the usual client. */
  async function start(t, { limits, clients } = {}) {
    const { createKeycloakTokenManagersServiceRef, keycloakTokenManagersServiceRef } = backstage();
    const ref = limits
      ? createKeycloakTokenManagersServiceRef({ id: 'test.managers', ...limits })
      : keycloakTokenManagersServiceRef;
    const [alpha, beta] = ['alpha', 'beta'].map((id) => keeper(workspace, id, { managers: ref }));
    const backend = await startBackend(t, workspace, [alpha.plugin, beta.plugin], {
      clients: { [CLIENT.clientId]: CLIENT.clientSecret, ...CLIENTS },
      also: (section) => nest('keycloak.clients', clients?.(section) ?? { first: section }),
    });
    const { tokenEndpoint } = backend.endpoint;
    const optionsOf = (index) => ({
      tokenEndpoint,
      clientId: `client-${index}`,
      clientSecret: `secret-${index}`,
    });
    const [managers, others] = [alpha, beta].map(({ services }) => services.managers);
    return { ...backend, managers, others, optionsOf };
  }

  test('opens one manager, shared by all plugins, for each named client of a section', async (t) => {
    const { endpoint, managers, others } = await start(t, {
      clients: (section) => ({
        first: section,
        second: { ...section, clientId: 'client-2', clientSecret: 'secret-2' },
      }),
    });
    assert.equal(managers.size, 0, 'nothing is opened in advance');
    const [first, second] = [managers.get('first'), managers.get('second')];
    assert.equal(managers.get('first'), first, 'the same one again');
    assert.deepEqual([first.pluginId, others.get('first').pluginId], ['alpha', 'beta']);
    const tokens = await Promise.all([
      first.getToken(),
      others.get('first').getToken(),
      second.getToken(),
    ]);
    assert.deepEqual(tokens.map(clientOf), ['test-client', 'test-client', 'client-2']);
    assert.equal(endpoint.requests.length, 2);
    assert.deepEqual([managers.size, others.size], [2, 2]);
  });

  test('applies edits to a named client, and names the key of an invalid client', async (t) => {
    const { edit, managers, section } = await start(t);
    const first = managers.get('first');
    assert.equal(clientOf(await first.getToken()), 'test-client');
    const changed = { ...section, clientId: 'client-3', clientSecret: 'secret-3' };
    await edit(nest('keycloak.clients', { first: changed, bad: { clientId: 'a' } }));
    await until(async () => clientOf(await first.getToken()) === 'client-3', 'the edit is used');
    const code = 'ERR_KEYCLOAK_CONFIG';
    const key =
      /^configuration "keycloak\.clients\.bad": incomplete: the section has clientId, but tokenE/;
    assert.throws(() => managers.get('bad'), { code, message: key });
    const message =
      'configuration "keycloak.clients": the section has no client "none"; the clients are first and bad';
    assert.throws(() => managers.get('none'), { code, message });
    assert.throws(() => managers.get('first.clientId'), { code });
    assert.equal(managers.size, 1);
  });

  test('opens one manager for each set of options', async (t) => {
    const { endpoint, managers, others, optionsOf } = await start(t);
    const calls = [];
    for (let index = 0; index < 5; index += 1) {
      for (const service of [managers, managers, others]) {
        calls.push(service.getFor(optionsOf(index)).getToken());
      }
    }
    const clients = (await Promise.all(calls)).map(clientOf);
    assert.equal(new Set(clients).size, 5);
    assert.equal(endpoint.requests.length, 5);
    assert.equal(managers.size, 5);
    const cyclic = {};
    cyclic.cyclic = cyclic;
    for (const change of [
      { clientSecret: undefined },
      { parameters: cyclic },
      { scope: [cyclic] },
      { logger: null },
    ]) {
      const wrong = { ...optionsOf(1), ...change };
      assert.throws(() => managers.getFor(wrong), { code: 'ERR_KEYCLOAK_CONFIG' });
      assert.equal(await managers.close(wrong), false);
    }
    assert.equal(managers.size, 5);
    const withoutLogger = { ...optionsOf(1), logger: undefined };
    assert.equal(managers.getFor(withoutLogger), managers.getFor(optionsOf(1)));
    assert.equal(managers.size, 5);
    assert.deepEqual([await managers.close(withoutLogger), managers.size], [true, 4]);
  });

  test('sends the token to the API that the options or withResource name', async (t) => {
    const { managers, optionsOf } = await start(t);
    const [api, other] = [await startApi(t), await startApi(t)];
    const tokens = managers.getFor({ ...optionsOf(1), resource: { baseUrl: api.url } });
    const { fetch } = tokens.withResource({ baseUrl: other.url });
    assert.equal((await tokens.fetch('/a')).status, 200);
    assert.equal((await fetch('/b')).status, 200);
    assert.deepEqual(
      [...api.requests, ...other.requests].map(({ url }) => url),
      ['/a', '/b'],
    );
  });

  test('opens at most 100 managers, and reopens a closed manager for its next call', async (t) => {
    const { endpoint, managers, optionsOf } = await start(t);
    const held = [];
    for (let index = 0; index < 120; index += 1) {
      held.push(managers.getFor(optionsOf(index)));
      assert.ok(managers.size <= 100, `${managers.size}`);
    }
    for (const [index, tokens] of held.entries()) {
      assert.equal(clientOf(await tokens.getToken()), `client-${index}`);
      assert.ok(managers.size <= 100, `${managers.size}`);
    }
    assert.equal(managers.size, 100);
    assert.equal(endpoint.requests.length, 120);
  });

  test('never closes a manager during a call', async (t) => {
    const { endpoint, managers, optionsOf } = await start(t, { limits: { maxManagers: 2 } });
    endpoint.pause();
    const calls = [1, 2, 3, 4].map((index) => managers.getFor(optionsOf(index)).getToken());
    await endpoint.waitForRequests(4);
    endpoint.resume();
    const clients = (await Promise.all(calls)).map(clientOf);
    assert.deepEqual(clients, ['client-1', 'client-2', 'client-3', 'client-4']);
    await until(() => managers.size === 2, 'only two are open');
  });

  test('closes one manager by its name or its options, and all managers when the backend stops', async (t) => {
    const { managers, optionsOf, stop } = await start(t);
    const [first, other, last] = [
      managers.get('first'),
      managers.getFor(optionsOf(1)),
      managers.getFor(optionsOf(2)),
    ];
    await Promise.all([first, other, last].map((tokens) => tokens.getToken()));
    assert.deepEqual(
      [await managers.close('first'), await managers.close(optionsOf(1)), managers.size],
      [true, true, 1],
    );
    assert.equal(await managers.close('first'), false);
    const closed = { code: 'ERR_KEYCLOAK_CLOSED' };
    await assert.rejects(first.getToken(), closed);
    await assert.rejects(other.getToken(), closed);
    assert.equal(clientOf(await managers.get('first').getToken()), 'test-client');
    await stop();
    assert.equal(managers.size, 0);
    await assert.rejects(last.getToken(), closed);
    assert.equal(last.snapshot().state, 'closed');
    await assert.rejects(managers.getFor(optionsOf(3)).getToken(), closed);
    assert.equal(managers.size, 0);
  });

  test('does not reopen a manager after close(), even if the limit had already closed it', async (t) => {
    const { managers, optionsOf } = await start(t, { limits: { maxManagers: 1 } });
    const [first, second] = [managers.getFor(optionsOf(1)), managers.getFor(optionsOf(2))];
    assert.equal(managers.size, 1);
    assert.equal(await managers.close(optionsOf(1)), true);
    await assert.rejects(first.getToken(), { code: 'ERR_KEYCLOAK_CLOSED' });
    assert.equal(clientOf(await second.getToken()), 'client-2');
    assert.equal(managers.size, 1);
  });

  test('closes an idle manager after the plugin has released it with close()', async (t) => {
    const { managers, optionsOf } = await start(t, { limits: { idleTimeoutMs: 100 } });
    const [kept, released] = [managers.getFor(optionsOf(1)), managers.getFor(optionsOf(2))];
    await Promise.all([kept.getToken(), released.getToken()]);
    await released.close();
    await until(() => managers.size === 1, 'the released one is closed');
    assert.equal(kept.snapshot().state, 'fresh');
    assert.equal(clientOf(await released.getToken()), 'client-2');
    assert.equal(managers.size, 2, 'it opens again');
  });

  test('shares one manager between a plugin that calls it after close() and another plugin', async (t) => {
    const { endpoint, managers, others } = await start(t, { limits: { idleTimeoutMs: 100 } });
    const released = managers.get('first');
    const resource = { baseUrl: 'http://127.0.0.1:1' };
    const derived = released.withResource(resource);
    resource.baseUrl = 'https://elsewhere.example';
    await released.getToken();
    await released.close();
    await until(() => managers.size === 0, 'the released one is closed');
    const other = others.get('first');
    const tokens = [other, released, derived].map((manager) => manager.getToken());
    assert.equal(new Set(await Promise.all(tokens)).size, 1);
    assert.deepEqual([managers.size, endpoint.requests.length], [1, 2]);
    await derived.headers({ url: 'http://127.0.0.1:1/a' });
    await managers.close('first');
    assert.equal(managers.size, 0);
    for (const manager of [other, released, derived]) {
      await assert.rejects(manager.getToken(), { code: 'ERR_KEYCLOAK_CLOSED' });
    }
  });

  test('serves 500 clients for ten seconds with an idle time of 1 s', {
    timeout: 60_000,
  }, async (t) => {
    const maxManagers = 100;
    const { endpoint, managers, optionsOf } = await start(t, {
      limits: { maxManagers, idleTimeoutMs: 1_000 },
    });
    const held = Array.from({ length: 20 }, (_, index) => managers.getFor(optionsOf(index)));
    const seen = new Set();
    const check = async (tokens, index) => {
      const token = await tokens.getToken();
      assert.equal(clientOf(token), `client-${index}`);
      seen.add(token);
    };
    await Promise.all(held.map(check));
    const end = performance.now() + 10_000;
    let next = 0;
    let largest = 0;
    while (performance.now() < end || next < 480) {
      const indices = Array.from({ length: 10 }, (_, offset) => 20 + ((next + offset) % 480));
      next += 10;
      await Promise.all(indices.map((index) => check(managers.getFor(optionsOf(index)), index)));
      largest = Math.max(largest, managers.size);
      await collect();
      await delay(20);
    }
    assert.ok(largest <= maxManagers, `${largest} managers were open`);
    await until(async () => {
      await collect();
      return managers.size === held.length;
    }, 'all idle managers are closed');
    assert.ok(held.every((tokens) => tokens.snapshot().state === 'fresh'));
    await Promise.all(held.map(check));
    const logins = endpoint.requests.map(({ clientId }) => clientId);
    for (let index = 0; index < held.length; index += 1) {
      const own = logins.filter((clientId) => clientId === `client-${index}`);
      assert.equal(own.length, 1, `client-${index} is referenced and was never closed`);
    }
    assert.equal(seen.size, logins.length, 'every token that was granted reached a caller');
  });

  test('refuses invalid limits', () => {
    const { createKeycloakTokenManagersServiceRef: create } = backstage();
    for (const options of [
      undefined,
      null,
      { id: '' },
      { id: 'a', configKey: '' },
      { id: 'a', maxManagers: 0 },
      { id: 'a', maxManagers: 1.5 },
      { id: 'a', idleTimeoutMs: 0 },
      { id: 'a', idleTimeoutMs: Number.POSITIVE_INFINITY },
    ]) {
      assert.throws(() => create(options), { code: 'ERR_KEYCLOAK_CONFIG' });
    }
  });
});
