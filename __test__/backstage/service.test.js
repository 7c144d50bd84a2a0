'use strict';

/** The service in a backend: its shared manager, failures, log lines and shutdown. */

const assert = require('node:assert/strict');
const { execFile } = require('node:child_process');
const path = require('node:path');
const { describe, test } = require('node:test');
const { promisify } = require('node:util');
const {
  CLIENT,
  editableConfig,
  KEY,
  keeper,
  nest,
  recordingLogger,
  startBackend,
  startWithoutServer,
  useWorkspace,
} = require('./support.js');

const root = path.join(__dirname, '..', '..');
const CANARY = 'canary-of-a-secret';
const ENDPOINT = 'http://127.0.0.1:1/realms/test/protocol/openid-connect/token';

describe('the service', () => {
  const workspace = useWorkspace();
  const backstage = () => workspace.require('keycloak-token-manager/backstage');
  const keeperOf = (pluginId, service = backstage().keycloakTokenManagerServiceRef) =>
    keeper(workspace, pluginId, { tokens: service });

  test('shares one manager and one acquisition between the plugins of a backend', async (t) => {
    const [alpha, beta] = [keeperOf('alpha'), keeperOf('beta')];
    const { endpoint } = await startBackend(t, workspace, [alpha.plugin, beta.plugin]);
    const [first, second] = [alpha.services.tokens, beta.services.tokens];
    assert.equal(first.snapshot().state, 'empty');
    assert.equal(endpoint.requests.length, 0, 'before the first call');
    assert.notEqual(first, second);
    assert.deepEqual([first.pluginId, second.pluginId], ['alpha', 'beta']);
    const tokens = await Promise.all([first.getToken(), second.getToken(), first.getToken()]);
    assert.equal(new Set(tokens).size, 1);
    assert.equal(endpoint.requests.length, 1);
    assert.equal((await second.getAccessToken()).token, tokens[0]);
    assert.equal(first.snapshot().counters.acquisitions, 1);

    assert.equal(first.invalidateToken(tokens[0]), true);
    assert.notEqual(await second.getToken(), tokens[0], 'all plugins drop the token');
    assert.equal(endpoint.requests.length, 2);
  });

  test('stays open when a plugin closes its view', async (t) => {
    const [alpha, beta] = [keeperOf('alpha'), keeperOf('beta')];
    await startBackend(t, workspace, [alpha.plugin, beta.plugin]);
    const token = await alpha.services.tokens.getToken();
    await alpha.services.tokens.close();
    await alpha.services.tokens[Symbol.asyncDispose]();
    assert.equal(await alpha.services.tokens.getToken(), token);
    assert.equal(await beta.services.tokens.getToken(), token);
  });

  test('closes when the backend shuts down', async (t) => {
    const alpha = keeperOf('alpha');
    const { endpoint, stop } = await startBackend(t, workspace, [alpha.plugin]);
    endpoint.pause();
    const waiting = alpha.services.tokens.getToken();
    const refused = assert.rejects(waiting, { code: 'ERR_KEYCLOAK_CLOSED' });
    await stop();
    await refused;
    assert.equal(alpha.services.tokens.snapshot().state, 'closed');
    endpoint.resume();
  });

  test('shares one manager between two refs with the same section, with or without the factory', async (t) => {
    const { keycloakTokenManagerServiceFactory } = backstage();
    const id = 'keycloak-token-manager';
    // Makes the service ref as a second copy of the package would; `copies.test.js` uses real
    // copies.
    const copy = backstage().createKeycloakTokenManagerServiceRef({ id, configKey: KEY });
    for (const features of [[], [keycloakTokenManagerServiceFactory]]) {
      const keepers = [keeperOf('alpha'), keeperOf('beta', copy)];
      const plugins = keepers.map(({ plugin }) => plugin);
      const { endpoint } = await startBackend(t, workspace, [...plugins, ...features]);
      await Promise.all(keepers.map(({ services }) => services.tokens.getToken()));
      assert.equal(endpoint.requests.length, 1);
    }
  });

  test('has a separate manager for a ref with another section', async (t) => {
    const other = backstage().createKeycloakTokenManagerServiceRef({
      id: 'acme.tokens',
      configKey: 'acme.auth',
    });
    const alpha = keeper(workspace, 'alpha', {
      tokens: backstage().keycloakTokenManagerServiceRef,
      others: other,
    });
    const beta = keeper(workspace, 'beta', { others: other });
    const plugins = [alpha.plugin, beta.plugin];
    const { endpoint } = await startBackend(t, workspace, plugins, {
      also: (first) => nest('acme.auth', { ...first, parameters: { audience: 'acme' } }),
    });
    const [token, ofOther, again] = await Promise.all([
      alpha.services.tokens.getToken(),
      alpha.services.others.getToken(),
      beta.services.others.getToken(),
    ]);
    assert.notEqual(token, ofOther);
    assert.equal(again, ofOther);
    const audiences = endpoint.requests.map(({ parameters }) => parameters.audience);
    assert.deepEqual(audiences.sort(), ['acme', undefined]);
  });

  test("logs under its own name through the backend's logger", async (t) => {
    const alpha = keeperOf('alpha');
    const { endpoint, lines } = await startBackend(t, workspace, [alpha.plugin]);
    endpoint.answerNext({ status: 401, body: { error: 'unauthorized_client' } });
    await assert.rejects(alpha.services.tokens.getToken(), { code: 'ERR_KEYCLOAK_OAUTH' });
    const ours = lines.filter(({ service }) => service === 'keycloak-token-manager');
    assert.ok(ours.length > 0, 'the failed acquisition is logged');
    assert.doesNotMatch(JSON.stringify(lines), /test-secret/);
  });

  const endpoint = { tokenEndpoint: ENDPOINT };
  const refused = { ...endpoint, ...CLIENT, clientSecret: CANARY, requestTimeoutMs: 0 };
  for (const [what, auth, pattern] of [
    ['a missing section', undefined, /the section is missing or empty; set tokenEndpoint/],
    [
      'an incomplete section',
      { ...endpoint },
      /incomplete: the section has tokenEndpoint, but clientId and/,
    ],
    ['a value that the manager refuses', refused, /requestTimeoutMs: expected an integer of at/],
  ]) {
    test(`fails the plugin at start for ${what}, naming the key`, async (t) => {
      const data = auth === undefined ? {} : nest(KEY, auth);
      const config = await editableConfig(workspace, data);
      t.after(() => config.close());
      const alpha = keeperOf('alpha');
      const { factory, lines } = recordingLogger(workspace);
      const features = [config.factory, factory, alpha.plugin];
      const error = await startWithoutServer(workspace, features).then(
        (backend) => backend.stop().then(() => assert.fail('the backend started')),
        (reason) => reason,
      );
      assert.match(error.message, /alpha/);
      assert.match(error.message, /configuration "boost\.kagenti\.auth": /);
      assert.match(error.message, pattern);
      const told = `${error.stack} ${JSON.stringify(error)} ${JSON.stringify(lines)}`;
      assert.doesNotMatch(told, new RegExp(CANARY));
      assert.deepEqual(alpha.services, {});
    });
  }

  test('does nothing in a backend whose plugins do not use it', async (t) => {
    const alpha = keeper(workspace, 'alpha', {});
    const { endpoint } = await startBackend(t, workspace, [alpha.plugin], { key: 'elsewhere' });
    assert.equal(endpoint.requests.length, 0);
  });

  test('refuses a ref without an id, or without exactly one source of its options', () => {
    const { createKeycloakTokenManagerServiceRef: create } = backstage();
    const read = () => undefined;
    for (const options of [
      undefined,
      null,
      { id: '', configKey: 'a' },
      { id: 'a' },
      { id: 'a', configKey: 1 },
      { id: 'a', configKey: 'a', read },
      { id: 'a', read: 'a' },
      { id: 'a', read, knownKeys: ['b'] },
      { id: 'a', configKey: 'a', knownKeys: 'b' },
    ]) {
      assert.throws(() => create(options), { code: 'ERR_KEYCLOAK_CONFIG' });
    }
  });

  test('is optional, as are the Backstage packages', async () => {
    const program = `
      const { KeycloakTokenManager } = require('keycloak-token-manager');
      require('keycloak-token-manager/testing');
      let code;
      try { require('keycloak-token-manager/backstage'); } catch (error) { code = error.code; }
      console.log(typeof KeycloakTokenManager, code);`;
    // The checkout does not contain Backstage. A package can import itself by name.
    const run = promisify(execFile);
    const { stdout } = await run(process.execPath, ['-e', program], { cwd: root });
    assert.equal(stdout.trim(), 'function MODULE_NOT_FOUND');
  });
});
