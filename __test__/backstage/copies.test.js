'use strict';

/** Copies of the package in one process, as in the exported plugins of Red Hat Developer Hub. */

const assert = require('node:assert/strict');
const { cp } = require('node:fs/promises');
const { createRequire } = require('node:module');
const path = require('node:path');
const { before, describe, test } = require('node:test');
const { startApi } = require('../support/api-server.js');
const { recorder, startEndpoint, until } = require('../support/manager.js');
const { CLIENT, KEY, keeper, nest, startBackend, useWorkspace } = require('./support.js');

const PACKAGE = 'keycloak-token-manager';
const OTHER = { clientId: 'other-client', clientSecret: 'other-secret' };
const clients = { [CLIENT.clientId]: CLIENT.clientSecret, [OTHER.clientId]: OTHER.clientSecret };
const clientOf = (token) => JSON.parse(Buffer.from(token.split('.')[1], 'base64url')).azp;
const bearer = ({ headers }) => headers.authorization.replace('Bearer ', '');

describe('two copies of the package', () => {
  const workspace = useWorkspace();
  /** The `require` functions of two plugins, each with the package in its own `node_modules`. */
  let requires;

  before(async () => {
    requires = await Promise.all(
      ['alpha', 'beta'].map(async (plugin) => {
        const folder = path.join(workspace.folder, 'packages', plugin);
        const from = path.join(workspace.folder, 'node_modules', PACKAGE);
        await cp(from, path.join(folder, 'node_modules', PACKAGE), { recursive: true });
        return createRequire(path.join(folder, 'index.js'));
      }),
    );
  });

  const copies = () => requires.map((load) => load(`${PACKAGE}/backstage`));
  /** The copies' registries, from a file that the package does not export. */
  const registries = () =>
    requires.map((load) => {
      const manifest = load.resolve(`${PACKAGE}/package.json`);
      return load(path.join(path.dirname(manifest), 'lib', 'backstage', 'registry.js')).registry();
    });

  /** Starts a backend whose two plugins each use the service of their own copy. */
  async function start(t, options) {
    const plugins = copies().map(({ keycloakTokenManagerServiceRef: ref }, index) =>
      keeper(workspace, ['alpha', 'beta'][index], { tokens: ref }),
    );
    const backend = await startBackend(
      t,
      workspace,
      plugins.map(({ plugin }) => plugin),
      { clients, ...options },
    );
    const [alpha, beta] = plugins.map(({ services }) => services.tokens);
    return { ...backend, alpha, beta };
  }

  test('have separate classes', () => {
    const [first, second] = requires.map((load) => load(PACKAGE).KeycloakTokenManager);
    assert.notEqual(first, second);
  });

  test('have one manager for one client, and one login for each token life', async (t) => {
    const { endpoint, alpha, beta } = await start(t);
    for (let life = 1; life <= 3; life += 1) {
      const calls = [alpha, beta, alpha, beta].map((tokens) => tokens.getToken());
      const tokens = new Set(await Promise.all(calls));
      assert.equal(tokens.size, 1);
      assert.equal(endpoint.requests.length, life);
      alpha.clearCache();
    }
    assert.equal(endpoint.connectionCount, 1);
    assert.deepEqual(alpha.snapshot().counters, beta.snapshot().counters);
  });

  test("recognise each other's errors", async (t) => {
    const { endpoint, alpha, beta } = await start(t);
    endpoint.answerNext({ status: 401, body: { error: 'unauthorized_client' } });
    const errors = await Promise.all(
      [alpha, beta].map((tokens) => tokens.getToken().catch((error) => error)),
    );
    for (const { KeycloakTokenError } of requires.map((load) => load(PACKAGE))) {
      for (const error of errors) assert.ok(error instanceof KeycloakTokenError, error.stack);
    }
  });

  test('close the manager when the backend stops', async (t) => {
    const { alpha, beta, stop } = await start(t);
    await alpha.getToken();
    await stop();
    for (const tokens of [alpha, beta]) {
      await assert.rejects(tokens.getToken(), { code: 'ERR_KEYCLOAK_CLOSED' });
      assert.equal(tokens.snapshot().state, 'closed');
    }
  });

  test('keep the token when an edit changes the secret for both', async (t) => {
    const { endpoint, edit, section, alpha, beta } = await start(t);
    const token = await alpha.getToken();
    endpoint.setSecret(CLIENT.clientId, 'rotated');
    await edit(nest(KEY, { ...section, clientSecret: 'rotated' }));
    assert.deepEqual([await alpha.getToken(), await beta.getToken()], [token, token]);
    beta.clearCache();
    await Promise.all([alpha.getToken(), beta.getToken()]);
    assert.deepEqual(
      endpoint.requests.map(({ status }) => status),
      [200, 200],
    );
  });

  test("never send one client's token to the other client's API", async (t) => {
    const [api, next] = [await startApi(t), await startApi(t)];
    const { edit, section, alpha, beta } = await start(t, {
      auth: { resource: { baseUrl: api.url } },
    });
    await alpha.fetch('/');
    const resource = { baseUrl: next.url };
    await edit(nest(KEY, { ...section, ...OTHER, resource }));
    await Promise.all([alpha.fetch('/'), beta.fetch('/')]);
    assert.deepEqual(api.requests.map(bearer).map(clientOf), ['test-client']);
    assert.deepEqual(next.requests.map(bearer).map(clientOf), ['other-client', 'other-client']);
  });

  describe('open', () => {
    const first = () => 'secret';
    const fetches = [() => fetch('http://localhost'), () => fetch('http://localhost')];
    for (const [what, changes, isShared] of [
      ['one manager for equal options', [{}, {}], true],
      ['one manager for different names', [{ name: 'a' }, { name: 'b' }], true],
      ['one manager for different loggers', [{ logger: recorder().logger }, {}], true],
      ['one manager for different APIs', [{ resource: { baseUrl: 'https://a' } }, {}], true],
      ['one manager for equal lists', [{ scope: ['a', 'b'] }, { scope: ['a', 'b'] }], true],
      [
        'one manager for equal records in another order',
        [{ parameters: { a: '1', b: '2' } }, { parameters: { b: '2', a: '1' } }],
        true,
      ],
      [
        'one manager for the same function',
        [{ clientSecret: first }, { clientSecret: first }],
        true,
      ],
      ['one manager for an undefined and an absent option', [{ scope: undefined }, {}], true],
      ['two managers for different secrets', [{}, { clientSecret: 'b' }], false],
      ['two managers for different clients', [{}, { clientId: 'b' }], false],
      ['two managers for different endpoints', [{}, { tokenEndpoint: 'https://a/b' }], false],
      ['two managers for different scopes', [{ scope: 'a' }, { scope: 'b' }], false],
      ['two managers for different parameters', [{ parameters: { a: '1' } }, {}], false],
      [
        'two managers for different headers',
        [{ headers: { a: '1' } }, { headers: { a: '2' } }],
        false,
      ],
      ['two managers for different time limits', [{}, { requestTimeoutMs: 1 }], false],
      ['two managers for a secret and a secret function', [{}, { clientSecret: first }], false],
      [
        'two managers for two secret functions',
        [{ clientSecret: () => 'a' }, { clientSecret: () => 'a' }],
        false,
      ],
      [
        'two managers for different tokenFetch functions',
        [{ tokenFetch: fetches[0] }, { tokenFetch: fetches[1] }],
        false,
      ],
      ['two managers for different certificate files', [{ caFile: '/a' }, { caFile: '/b' }], false],
    ]) {
      test(what, async () => {
        const options = { tokenEndpoint: 'https://sso.example/token', ...CLIENT };
        const [one, two] = registries().map((registry, index) =>
          registry.open({ ...options, ...changes[index] }),
        );
        // If the views share a manager, both count the calls of either view.
        one.invalidateToken('unknown');
        const counts = [one, two].map((view) => view.snapshot().counters.invalidationsIgnored);
        assert.deepEqual(counts, [1, isShared ? 1 : 0]);
        await Promise.all([one.close(), two.close()]);
      });
    }
  });

  test('close the manager when its last view closes', async (t) => {
    const { tokenEndpoint } = await startEndpoint(t);
    const [one, two] = registries().map((registry) => registry.open({ tokenEndpoint, ...CLIENT }));
    const token = await one.getToken();
    await one.close();
    await one.close();
    const closed = { code: 'ERR_KEYCLOAK_CLOSED' };
    await assert.rejects(one.getToken(), closed);
    await assert.rejects(one.withResource({ baseUrl: 'http://localhost' }).fetch('/'), closed);
    assert.equal(one.snapshot().state, 'closed');
    assert.equal(await two.getToken(), token);
    await two.close();
    await assert.rejects(two.getToken(), closed);
    const [again] = registries().map((registry) => registry.open({ tokenEndpoint, ...CLIENT }));
    assert.notEqual(await again.getToken(), token);
    await again.close();
  });

  test('give each view its own API, name and logger', async (t) => {
    const endpoint = await startEndpoint(t);
    const [api, other] = [await startApi(t), await startApi(t)];
    const logs = [recorder(), recorder()];
    const views = registries().map((registry, index) =>
      registry.open({
        tokenEndpoint: endpoint.tokenEndpoint,
        ...CLIENT,
        name: ['one', 'two'][index],
        logger: logs[index].logger,
        resource: { baseUrl: [api, other][index].url },
      }),
    );
    const bare = registries()[0].open({ tokenEndpoint: endpoint.tokenEndpoint, ...CLIENT });
    const [one, two] = views;
    await Promise.all([one.fetch('/one'), two.fetch('/two')]);
    assert.deepEqual(
      [api, other].map(({ requests }) => requests.map(({ url }) => url)),
      [['/one'], ['/two']],
    );
    await assert.rejects(two.fetch(`${api.url}/`), { code: 'ERR_KEYCLOAK_REQUEST' });
    await assert.rejects(bare.fetch('/'), { code: 'ERR_KEYCLOAK_CONFIG' });
    assert.deepEqual(
      [one, two, bare].map((view) => view.snapshot().name),
      ['one', 'two', 'test-client'],
    );
    // The manager writes each line once, to the logger of the oldest view.
    await until(() => logs[0].lines.length > 0, 'a line');
    assert.deepEqual(logs[1].lines, []);
    await one.close();
    await two.getToken({ forceRefresh: true });
    await until(() => logs[1].lines.length > 0, 'the next view logs');
    await Promise.all([two.close(), bare.close()]);
  });

  test('use separate managers when the options of only one copy change, and no call fails', async (t) => {
    const endpoint = await startEndpoint(t, { clients });
    const options = { tokenEndpoint: endpoint.tokenEndpoint, ...CLIENT };
    const [one, two] = registries().map((registry) => registry.open(options));
    const token = await one.getToken();
    endpoint.pause();
    const waiting = two.getToken({ forceRefresh: true });
    await one.update({ ...options, ...OTHER });
    assert.equal(await one.getToken(), token, 'until the other token has arrived');
    endpoint.resume();
    await until(async () => clientOf(await one.getToken()) === 'other-client', 'it is there');
    assert.equal(clientOf(await waiting), 'test-client');
    assert.equal(clientOf(await two.getToken()), 'test-client');
    // The views share one manager again.
    await one.update(options);
    await until(async () => clientOf(await one.getToken()) === 'test-client', 'it is back');
    assert.equal(await one.getToken(), await two.getToken());
    await Promise.all([one.close(), two.close()]);
  });

  test('keep the old token if changed options get no token, until further changes get one', async (t) => {
    const endpoint = await startEndpoint(t, { clients });
    const options = { tokenEndpoint: endpoint.tokenEndpoint, ...CLIENT };
    const [one, two] = registries().map((registry) => registry.open(options));
    const token = await one.getToken();
    const refused = async (count) =>
      until(
        () => endpoint.requests.filter(({ status }) => status !== 200).length >= count,
        'it is refused',
      );
    await one.update({ ...options, ...OTHER, clientSecret: 'wrong' });
    await refused(1);
    assert.equal(await one.getToken(), token);
    await one.update({ ...options, ...OTHER, clientSecret: 'later' });
    await refused(2);
    assert.equal(await one.getToken(), token);
    endpoint.setSecret(OTHER.clientId, 'later');
    await until(async () => clientOf(await one.getToken()) === 'other-client', 'it is there');
    assert.equal(await two.getToken(), token);
    await Promise.all([one.close(), two.close()]);
  });

  test('once the old token has expired, show why the changed options got no token', async (t) => {
    const endpoint = await startEndpoint(t, { clients, expiresIn: 1 });
    const options = { tokenEndpoint: endpoint.tokenEndpoint, ...CLIENT };
    const [one, two] = registries().map((registry) => registry.open(options));
    await one.getToken();
    await one.update({ ...options, ...OTHER, clientSecret: 'wrong' });
    const code = 'ERR_KEYCLOAK_OAUTH';
    await until(
      () =>
        one.getToken().then(
          () => false,
          (error) => error.code === code,
        ),
      'the error appears',
    );
    assert.equal(clientOf(await two.getToken()), 'test-client');
    await Promise.all([one.close(), two.close()]);
  });

  test('send the token to the API that withResource named, even if its argument changes later', async (t) => {
    const endpoint = await startEndpoint(t, { clients });
    const options = { tokenEndpoint: endpoint.tokenEndpoint, ...CLIENT };
    const [api, other] = [await startApi(t), await startApi(t)];
    const [view, stays] = registries().map((registry) => registry.open(options));
    const resource = { baseUrl: api.url };
    const derived = view.withResource(resource);
    for (const [baseUrl, change] of [
      [other.url, OTHER],
      ['not a URL', CLIENT],
    ]) {
      resource.baseUrl = baseUrl;
      await view.getToken();
      await view.update({ ...options, ...change });
      await until(async () => clientOf(await view.getToken()) === change.clientId, 'it is used');
      assert.equal((await derived.fetch('/')).status, 200);
      assert.match((await derived.headers({ url: 'a' })).Authorization, /^Bearer /);
    }
    assert.deepEqual([api.requests.length, other.requests.length], [2, 0]);
    await Promise.all([view.close(), stays.close()]);
  });

  test('keep the manager if an update restores the old options before the changed options have a token', async (t) => {
    const endpoint = await startEndpoint(t, { clients });
    const options = { tokenEndpoint: endpoint.tokenEndpoint, ...CLIENT };
    const [one, two] = registries().map((registry) => registry.open(options));
    const token = await one.getToken();
    endpoint.pause();
    await one.update({ ...options, ...OTHER });
    await one.update(options);
    endpoint.resume();
    await two.close();
    assert.equal(await one.getToken(), token);
    await one.close();
  });

  test('refuse invalid options, even in an update, and keep the current options', async (t) => {
    const { tokenEndpoint } = await startEndpoint(t);
    const options = { tokenEndpoint, ...CLIENT };
    const [registry, other] = registries();
    const view = registry.open(options);
    const token = await view.getToken();
    for (const wrong of [
      { tokenEndpoint: 'a' },
      { resource: {} },
      { logger: {} },
      { name: 1 },
      { unknown: true },
    ]) {
      const code = 'ERR_KEYCLOAK_CONFIG';
      assert.throws(() => other.open({ ...options, ...wrong }), { code });
      await assert.rejects(view.update({ ...options, ...wrong }), { code });
    }
    assert.equal(await view.getToken(), token);
    await view.close();
  });
});
