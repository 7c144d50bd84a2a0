/**
 * The manager as a Backstage service, for the new backend system. Only this folder needs the
 * optional peer dependency `@backstage/backend-plugin-api`.
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

/**
 * Creates a further service, for a second realm or client. This service needs no `backend.add`
 * either.
 */
function createKeycloakTokenManagerServiceRef({ id, configKey, tokenFetch }) {
  for (const [name, value] of Object.entries({ id, configKey })) {
    if (typeof value !== 'string' || value === '') {
      throw invalid(`${name}: expected a non-empty string`);
    }
  }
  return createServiceRef({
    id,
    scope: 'plugin',
    defaultFactory: async (service) => createFactory(service, configKey, tokenFetch),
  });
}

// The factory creates the manager in the root context, which has only root-scoped services, so that
// all plugins share one manager.
function createFactory(service, key, tokenFetch) {
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
      return openSharedManager({ key, config, logger, lifecycle, tokenFetch });
    },
    factory: ({ plugin }, manager) => viewFor(plugin.getId(), manager),
  });
}

const keycloakTokenManagerServiceRef = createKeycloakTokenManagerServiceRef({
  id: DEFAULT_ID,
  configKey: DEFAULT_CONFIG_KEY,
});

/** The default factory. Adding it to a backend makes all copies of this package share a manager. */
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
