'use strict';

/** `sharedCache` in a section: the store that the readers return, and the refused sections. */

const assert = require('node:assert/strict');
const { before, describe, test } = require('node:test');
const checkout = require('../../lib/backstage/config.js');
const { sharedStore } = require('../../lib/backstage/shared-cache.js');
const { nest, useWorkspace } = require('./support.js');

const KEY = 'boost.kagenti.auth';
const ENDPOINT = 'https://sso.example.org/realms/kagenti/protocol/openid-connect/token';
const CLIENT = { clientId: 'portal', clientSecret: 'canary-of-a-secret' };
const SECTION = { tokenEndpoint: ENDPOINT, ...CLIENT, sharedCache: true };
const cacheAt = (port, store = 'valkey') => ({
  backend: { cache: { store, connection: `redis://127.0.0.1:${port}`, [store]: {} } },
});
const VALKEY = cacheAt(1);

/** Each reader, with a section that shares the cache. */
const READERS = {
  readKeycloakTokenManagerOptions: nest(KEY, SECTION),
  readAugmentKagentiOptions: nest('augment.kagenti.auth', SECTION),
  readCostManagementOptions: { costManagement: { ...CLIENT, sharedCache: 'true' } },
  readKeycloakOrgOptions: nest('catalog.providers.keycloakOrg.default', {
    baseUrl: 'https://sso.example.org',
    ...CLIENT,
    sharedCache: true,
  }),
  readOAuthClientOptions: nest('openchoreo.auth', { tokenUrl: ENDPOINT, ...SECTION }),
};
const keyOf = (reader) => (reader === 'readOAuthClientOptions' ? 'openchoreo.auth' : undefined);

const IN_MEMORY =
  /^configuration "[\w.]+": sharedCache: this backend keeps its cache in memory, .+ or remove sharedCache$/;

/** A configuration that a reader refuses, with the error. */
const REFUSED = {
  'a backend without a cache': [{}, IN_MEMORY],
  'a cache in memory': [{ backend: { cache: { store: 'memory' } } }, IN_MEMORY],
  'an unknown store': [
    { backend: { cache: { store: 'etcd', connection: 'x' } } },
    /^configuration "[\w.]+": Unknown cache store: etcd$/,
  ],
  'settings of another store': [
    { backend: { cache: { store: 'valkey', connection: { url: 'redis://127.0.0.1:1' } } } },
    /^configuration "[\w.]+": backend\.cache\.connection /,
  ],
};

describe('sharedCache', () => {
  const workspace = useWorkspace();
  let readers;
  let configOf;
  before(() => {
    readers = workspace.require('keycloak-token-manager/backstage');
    const { ConfigReader } = workspace.require('@backstage/config');
    configOf = (...parts) => new ConfigReader(Object.assign({}, ...parts));
  });

  test('makes one store for all sections of all readers', () => {
    const config = configOf(VALKEY, ...Object.values(READERS));
    const stores = Object.keys(READERS).map(
      (reader) => readers[reader](config, keyOf(reader)).store,
    );
    for (const store of stores) assert.equal(store, stores[0]);
    assert.equal(typeof stores[0].get, 'function');
    const again = readers.readKeycloakTokenManagerOptions(configOf(VALKEY, nest(KEY, SECTION)));
    assert.equal(again.store, stores[0], 'an equal configuration');
    const other = readers.readKeycloakTokenManagerOptions(configOf(cacheAt(2), nest(KEY, SECTION)));
    assert.notEqual(other.store, stores[0], 'another server');
  });

  test('makes one store for all copies of the package', () => {
    const config = configOf(VALKEY, nest(KEY, SECTION));
    const [first, second] = [readers, checkout].map(
      ({ readKeycloakTokenManagerOptions: read }) => read(config).store,
    );
    assert.equal(first, second);
  });

  for (const [reader, section] of Object.entries(READERS)) {
    for (const [what, [backend, message]] of Object.entries(REFUSED)) {
      test(`makes ${reader} throw for ${what}`, () => {
        assert.throws(() => readers[reader](configOf(backend, section), keyOf(reader)), {
          code: 'ERR_KEYCLOAK_CONFIG',
          message,
        });
      });
    }
  }

  test('that is absent, empty or false makes no store', () => {
    for (const sharedCache of [undefined, '', false, 'false']) {
      const section = nest(KEY, { ...SECTION, sharedCache });
      const options = readers.readKeycloakTokenManagerOptions(configOf(section));
      assert.deepEqual(options, { tokenEndpoint: ENDPOINT, ...CLIENT });
    }
  });

  test('is an error if @backstage/backend-defaults is not installed', () => {
    // The checkout does not have the package.
    assert.throws(() => sharedStore(configOf(VALKEY)), {
      message: /^sharedCache: @backstage\/backend-defaults\/cache is not installed; install /,
    });
  });
});
