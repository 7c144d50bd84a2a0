'use strict';

/** Services whose options a function reads, and services with optional credentials. */

const assert = require('node:assert/strict');
const { describe, test } = require('node:test');
const { until } = require('../support/manager.js');
const { CLIENT, KEY, keeper, nest, startBackend, useWorkspace } = require('./support.js');

const CANARY = 'canary-of-a-secret';

describe('a service', () => {
  const workspace = useWorkspace();

  /** A backend with one plugin that depends on a service with these options. */
  async function start(t, options, { section = {}, key = KEY } = {}) {
    const backstage = workspace.require('keycloak-token-manager/backstage');
    const made = typeof options === 'function' ? options(backstage) : options;
    const ref = backstage.createKeycloakTokenManagerServiceRef({ id: 'test.tokens', ...made });
    const alpha = keeper(workspace, 'alpha', { service: ref });
    const backend = await startBackend(t, workspace, [alpha.plugin], {
      key: 'elsewhere',
      also: (whole) => nest(key, typeof section === 'function' ? section(whole) : section),
    });
    const { endpoint, lines } = backend;
    const whole = { tokenEndpoint: endpoint.tokenEndpoint, ...CLIENT };
    const edit = (changed) => backend.edit(nest(key, changed));
    const warnings = () => lines.filter(({ level }) => level === 'warn');
    return { ...backend, edit, whole, warnings, ...alpha.services };
  }

  describe('with a function that reads its options', () => {
    test("uses a plugin's keys, and applies edits to them", async (t) => {
      const toSection = ({ tokenEndpoint, ...client }) => ({
        skipTlsVerify: false,
        auth: { tokenEndpoint, ...client },
      });
      const key = 'augment.kagenti';
      const read = ({ readAugmentKagentiOptions: reader }) => ({ read: reader });
      const { service, endpoint, edit, lines, whole } = await start(t, read, {
        key,
        section: toSection,
      });
      await service.getToken();
      endpoint.setSecret(CLIENT.clientId, 'rotated');
      await edit(toSection({ ...whole, clientSecret: 'rotated' }));
      assert.ok(
        lines.some(
          ({ message }) => message === 'the manager uses the changed service "test.tokens"',
        ),
      );
      assert.equal(endpoint.requests.length, 1, 'a new secret keeps the token');
      service.clearCache();
      await service.getToken();
      assert.equal(endpoint.requests.length, 2);
    });

    test('treats empty strings from the function as absent', async (t) => {
      const read = (config) => ({
        ...config.get('acme'),
        clientSecretFile: '',
        resource: { baseUrl: '' },
      });
      const { service } = await start(t, { read }, { key: 'acme', section: (whole) => whole });
      await service.getToken();
      await assert.rejects(service.fetch('/'), /the option resource is not set/);
    });

    for (const [what, read, message] of [
      [
        'finds nothing',
        (config) => config.getOptional('acme.auth') && {},
        /service "test\.tokens": the configuration contains no credentials; read looked up acme\.auth/,
      ],
      [
        'returns an empty object',
        (config) => ({ ...config.getOptional('acme.auth') }),
        /service "test\.tokens": the configuration contains no credentials; read looked up acme\.auth/,
      ],
      [
        'returns half of the options',
        () => ({ clientId: 'a', clientSecret: CANARY }),
        /"test\.tokens": incomplete: the section has clientId and clientSecret, but tokenEndpoint \(or i/,
      ],
      [
        'returns an invalid option',
        () => ({ tokenEndpoint: CANARY, ...CLIENT }),
        /service "test\.tokens": invalid options: tokenEndpoint: expected an absolute http/,
      ],
      [
        'reads a missing key',
        (config) => config.getString('acme.clientId'),
        /service "test\.tokens": Missing required config value at 'acme\.clientId'/,
      ],
      [
        'returns a cyclic object',
        () => {
          const cyclic = {};
          cyclic.cyclic = cyclic;
          return cyclic;
        },
        /service "test\.tokens": Maximum call stack/,
      ],
      ['is asynchronous', async () => ({}), /"test\.tokens": read must return an object or undefi/],
    ]) {
      test(`fails the plugin at start if the function ${what}`, async (t) => {
        await assert.rejects(start(t, { read }), (error) => {
          assert.match(error.message, message);
          assert.doesNotMatch(error.message, new RegExp(CANARY));
          return true;
        });
      });
    }
  });

  describe('with optional credentials', () => {
    const optional = { optional: true, configKey: KEY };

    for (const [what, section] of [
      ['the section is absent', {}],
      ['all its keys are empty', { tokenEndpoint: '', clientId: '', clientSecret: '' }],
    ]) {
      test(`has no manager if ${what}, and logs no warning`, async (t) => {
        const { service, warnings } = await start(t, optional, { section });
        assert.equal(service.manager, undefined);
        assert.deepEqual(warnings(), []);
      });
    }

    test('has no manager if the section is partial, and warns once', async (t) => {
      const section = { clientId: 'a', clientSecret: '' };
      const { service, edit, warnings } = await start(t, optional, { section });
      await edit({ ...section, clientSecret: null });
      assert.equal(service.manager, undefined);
      assert.deepEqual(
        warnings().map(({ message }) => message),
        [
          `the service has no manager: configuration "${KEY}": incomplete: the section has clientId, but ` +
            'tokenEndpoint (or issuer) and clientSecret (or clientSecretFile) are missing',
        ],
      );
    });

    test('has a manager once an edit completes the section', async (t) => {
      const { service, edit, whole } = await start(t, optional);
      assert.equal(service.manager, undefined);
      await edit(whole);
      const { manager } = service;
      assert.equal(manager.pluginId, 'alpha');
      assert.equal(service.manager, manager);
      await manager.getToken();
    });

    test('keeps the manager if an edit removes the section, and warns once', async (t) => {
      const { service, edit, whole, warnings } = await start(t, optional, {
        section: (given) => given,
      });
      const { manager } = service;
      await edit({});
      await edit({ ...Object.fromEntries(Object.keys(whole).map((name) => [name, ''])) });
      assert.equal(service.manager, manager);
      await manager.getToken();
      assert.deepEqual(
        warnings().map(({ message }) => message),
        [
          `configuration "${KEY}" no longer contains credentials; the manager uses the old ` +
            'credentials until an edit restores them or the backend restarts',
        ],
      );
    });

    test('keeps the manager if an edit makes the section partial, and warns once', async (t) => {
      const { service, edit, whole, warnings } = await start(t, optional, {
        section: (given) => given,
      });
      const { manager } = service;
      await edit({ ...whole, clientSecret: '' });
      await edit({ clientId: whole.clientId });
      assert.equal(service.manager, manager);
      await manager.getToken();
      assert.deepEqual(
        warnings().map(({ message }) => message),
        [
          `configuration "${KEY}": incomplete: the section has tokenEndpoint and clientId, but ` +
            'clientSecret (or clientSecretFile) is missing; the manager uses the old credentials ' +
            'until an edit restores them or the backend restarts',
        ],
      );
    });

    test('still fails the plugin at start if the section is wrong', async (t) => {
      const section = (whole) => ({ ...whole, clientid: 'a' });
      await assert.rejects(start(t, optional, { section }), /unknown key "clientid"/);
    });

    test('has no manager for a partial configuration of another plugin', async (t) => {
      const options = ({ readCostManagementOptions: read }) => ({ optional: true, read });
      const { service, warnings } = await start(t, options, {
        key: 'costManagement',
        section: { clientId: 'a' },
      });
      assert.equal(service.manager, undefined);
      assert.equal(warnings().length, 1);
    });
  });

  test('ignores the keys in knownKeys', async (t) => {
    const options = { configKey: KEY, knownKeys: ['tokenExchange'] };
    const tokenExchange = { enabled: true, audience: 'agents' };
    const section = (whole) => ({ ...whole, tokenExchange });
    const { service } = await start(t, options, { section });
    await until(() => service.getToken(), 'a token');
  });
});
