'use strict';

/**
 * The modules of docs/catalog-module.md, with a double of the catalog module that implements the
 * extension point and reads a realm with the real module's functions.
 */

const assert = require('node:assert/strict');
const { createRequire } = require('node:module');
const { test } = require('node:test');
const {
  editableConfig,
  recordingLogger,
  startWithoutServer,
  useWorkspace,
} = require('../backstage/support.js');
const { findBlocks, runModule } = require('../support/documents.js');
const { CLIENT, times } = require('../support/manager.js');
const { MODULE, loadModule } = require('./catalog-module.js');
const { GROUPS, USERS, startKeycloak } = require('./fake-keycloak.js');

const PAGE = 'docs/catalog-module.md';
const POINT = './keycloakAuthExtensionPoint';
const workspace = useWorkspace();

/** The catalog module as it would be with the extension point; `read()` reads the realm once. */
function makeDouble({ keycloakAuthExtensionPoint }, section) {
  const { createBackendModule, createBackendPlugin } = workspace.require(
    '@backstage/backend-plugin-api',
  );
  const { AdminClient } = loadModule(workspace);
  const manifest = workspace.require.resolve(`${MODULE}/package.json`);
  const { readKeycloakRealm } = createRequire(manifest)('./dist/lib/read.cjs.js');
  const providers = new Map();
  const module = createBackendModule({
    pluginId: 'catalog',
    moduleId: 'keycloak',
    register(env) {
      env.registerExtensionPoint(keycloakAuthExtensionPoint, {
        setTokenProvider: (id, tokens) => providers.set(id, tokens),
      });
      env.registerInit({ deps: {}, async init() {} });
    },
  });
  const plugin = createBackendPlugin({
    pluginId: 'catalog',
    register: (env) => env.registerInit({ deps: {}, async init() {} }),
  });
  const read = () => {
    const client = new AdminClient({ baseUrl: section.baseUrl, realmName: section.loginRealm });
    client.registerTokenProvider(providers.get('default'));
    client.auth = async () => {};
    const logger = { debug() {}, info() {}, warn: assert.fail };
    const limit = (task) => task();
    return readKeycloakRealm(client, section, logger, limit, 'task', { add: assert.fail });
  };
  return { features: [module, plugin], read };
}

test('a catalog module with the extension point reads a realm', async (t) => {
  const { endpoint, url } = await startKeycloak(t, 25, 5);
  const section = { baseUrl: url, realm: 'test', loginRealm: 'test', ...CLIENT };
  const config = await editableConfig(workspace, {
    catalog: { providers: { keycloakOrg: { default: section } } },
  });
  t.after(() => config.close());
  const [pointBlock, moduleBlock] = findBlocks(PAGE, 'ts', '@backstage/backend-plugin-api');
  const point = runModule(pointBlock.code, workspace.require);
  const ours = runModule(moduleBlock.code, (name) =>
    name === POINT ? point : workspace.require(name),
  );
  const { features, read } = makeDouble(point, section);
  const logger = recordingLogger(workspace);
  const all = [config.factory, logger.factory, ours.default, ...features];
  const backend = await startWithoutServer(workspace, all);
  t.after(() => backend.stop());

  for (const _ of times(3)) {
    const { users, groups } = await read();
    assert.deepEqual([users.length, groups.length], [USERS.length, GROUPS.length]);
  }
  assert.equal(endpoint.requestCount, 1);
});
