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
const { ConfiguredManager } = require('./configured-manager.js');
const {
  readAugmentKagentiOptions,
  readCostManagementOptions,
  readKeycloakOrgOptions,
  readOAuthClientOptions,
} = require('./readers.js');
const { ManagerPool } = require('./manager-pool.js');
const { optionalService, poolService, serviceView } = require('./service-view.js');
const { functionSource, sectionSource } = require('./source.js');

const DEFAULT_ID = 'keycloak-token-manager';
const DEFAULT_POOL_ID = 'keycloak-token-managers';
const DEFAULT_CLIENTS_KEY = 'keycloak.clients';
const DEFAULT_MAXIMUM = 100;
const DEFAULT_IDLE_TIMEOUT_MS = 600_000;
/** The longest delay that Node's timers accept. */
const MAX_IDLE_TIMEOUT_MS = 2 ** 31 - 1;

/**
 * The services that a factory needs. The root context receives only the services of the root scope.
 */
const DEPENDENCIES = {
  config: coreServices.rootConfig,
  rootLogger: coreServices.rootLogger,
  lifecycle: coreServices.rootLifecycle,
  plugin: coreServices.pluginMetadata,
};

/**
 * Creates a reference to an additional service, for a second realm or client. Like the default
 * service, this service needs no `backend.add`.
 */
function createKeycloakTokenManagerServiceRef(options) {
  check(options);
  return createServiceRef({
    id: options.id,
    scope: 'plugin',
    defaultFactory: async (service) => createFactory(service, options),
  });
}

function check(options) {
  const { id, configKey, read, knownKeys } = options ?? {};
  nonEmpty('id', id);
  if ((configKey === undefined) === (read === undefined)) {
    throw invalid('configKey, read: expected exactly one of them');
  }
  if (read === undefined) nonEmpty('configKey', configKey);
  else if (typeof read !== 'function') throw invalid('read: expected a function');
  if (knownKeys === undefined) return;
  if (read !== undefined) {
    throw invalid('knownKeys: this option does not work with read, which chooses the keys');
  }
  if (!Array.isArray(knownKeys) || !knownKeys.every((key) => typeof key === 'string')) {
    throw invalid('knownKeys: expected an array of strings');
  }
}

function nonEmpty(name, value) {
  if (typeof value === 'string' && value !== '') return;
  throw invalid(`${name}: expected a non-empty string`);
}

// The factory creates the manager in the root context, which has only root-scoped services, so that
// all plugins share one manager.
function createFactory(service, { configKey, knownKeys, optional = false, read, tokenFetch }) {
  return createServiceFactory({
    service,
    deps: DEPENDENCIES,
    createRootContext({ config, rootLogger, lifecycle }) {
      const source = read ? functionSource(service.id, read) : sectionSource(configKey, knownKeys);
      const configured = new ConfiguredManager({
        source,
        config,
        logger: rootLogger.child({ service: service.id }),
        inCode: tokenFetch === undefined ? {} : { tokenFetch },
        isOptional: optional,
      });
      lifecycle.addShutdownHook(() => configured.close());
      return configured;
    },
    factory: ({ plugin }, configured) =>
      optional
        ? optionalService(plugin.getId(), configured)
        : serviceView(plugin.getId(), configured.view),
  });
}

/**
 * Creates a reference to an additional service that provides several managers, with another section
 * or other limits.
 */
function createKeycloakTokenManagersServiceRef(options) {
  const {
    id,
    configKey = DEFAULT_CLIENTS_KEY,
    maxManagers = DEFAULT_MAXIMUM,
    idleTimeoutMs = DEFAULT_IDLE_TIMEOUT_MS,
  } = options ?? {};
  nonEmpty('id', id);
  nonEmpty('configKey', configKey);
  if (!Number.isInteger(maxManagers) || maxManagers < 1) {
    throw invalid('maxManagers: expected an integer of at least 1');
  }
  if (!(idleTimeoutMs >= 1 && idleTimeoutMs <= MAX_IDLE_TIMEOUT_MS)) {
    throw invalid(`idleTimeoutMs: expected a number from 1 to ${MAX_IDLE_TIMEOUT_MS}`);
  }
  const limits = { maximum: maxManagers, idleTimeoutMs };
  return createServiceRef({
    id,
    scope: 'plugin',
    defaultFactory: async (service) => createPoolFactory(service, configKey, limits),
  });
}

function createPoolFactory(service, configKey, limits) {
  return createServiceFactory({
    service,
    deps: DEPENDENCIES,
    createRootContext({ config, rootLogger, lifecycle }) {
      const logger = rootLogger.child({ service: service.id });
      const pool = new ManagerPool({ configKey, config, logger, limits });
      lifecycle.addShutdownHook(() => pool.closeAll());
      return pool;
    },
    factory: ({ plugin }, pool) => poolService(plugin.getId(), pool),
  });
}

const keycloakTokenManagersServiceRef = createKeycloakTokenManagersServiceRef({
  id: DEFAULT_POOL_ID,
});

const keycloakTokenManagerServiceRef = createKeycloakTokenManagerServiceRef({
  id: DEFAULT_ID,
  configKey: DEFAULT_CONFIG_KEY,
});

/** The default factory, for backends that add their services explicitly. */
const keycloakTokenManagerServiceFactory = createFactory(keycloakTokenManagerServiceRef, {
  configKey: DEFAULT_CONFIG_KEY,
});

module.exports = {
  createKeycloakTokenManagerServiceRef,
  createKeycloakTokenManagersServiceRef,
  keycloakTokenManagerServiceFactory,
  keycloakTokenManagerServiceRef,
  keycloakTokenManagersServiceRef,
  // `import` finds a named export only if its name appears here literally.
  readAugmentKagentiOptions,
  readCostManagementOptions,
  readKeycloakOrgOptions,
  readKeycloakTokenManagerOptions,
  readOAuthClientOptions,
};
