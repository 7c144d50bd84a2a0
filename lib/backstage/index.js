/**
 * The manager as a Backstage service, for the new backend system. Needs the optional peer
 * `@backstage/backend-plugin-api`; nothing outside this folder does.
 */
'use strict';

const {
  coreServices,
  createServiceFactory,
  createServiceRef,
} = require('@backstage/backend-plugin-api');

const { DEFAULT_CONFIG_KEY, invalid, readKeycloakTokenManagerOptions } = require('./config.js');
const { openSharedManager, viewFor } = require('./shared-manager.js');

const DEFAULT_ID = 'keycloak-token-manager';

/** A further service, for a second realm or client. Needs no `backend.add` either. */
function createKeycloakTokenManagerServiceRef({ id, configKey }) {
  for (const [name, value] of Object.entries({ id, configKey })) {
    if (typeof value !== 'string' || value === '') {
      throw invalid(`${name}: expected a non-empty string`);
    }
  }
  return createServiceRef({
    id,
    scope: 'plugin',
    defaultFactory: async (service) => createFactory(service, configKey),
  });
}

// The manager is made in the root context, where only services of the root scope are to be had, so
// that there is one for all plugins.
function createFactory(service, key) {
  return createServiceFactory({
    service,
    deps: {
      config: coreServices.rootConfig,
      rootLogger: coreServices.rootLogger,
      lifecycle: coreServices.rootLifecycle,
      plugin: coreServices.pluginMetadata,
    },
    createRootContext({ config, rootLogger, lifecycle }) {
      const logger = rootLogger.child({ service: service.id });
      return openSharedManager({ key, config, logger, lifecycle });
    },
    factory: ({ plugin }, manager) => viewFor(plugin.getId(), manager),
  });
}

const keycloakTokenManagerServiceRef = createKeycloakTokenManagerServiceRef({
  id: DEFAULT_ID,
  configKey: DEFAULT_CONFIG_KEY,
});

/** The same as the default. Adding it gives all copies of this package in a backend one manager. */
const keycloakTokenManagerServiceFactory = createFactory(
  keycloakTokenManagerServiceRef,
  DEFAULT_CONFIG_KEY,
);

module.exports = {
  createKeycloakTokenManagerServiceRef,
  keycloakTokenManagerServiceFactory,
  keycloakTokenManagerServiceRef,
  readKeycloakTokenManagerOptions,
};
