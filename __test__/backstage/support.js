/**
 * Helpers of the Backstage suites: a workspace, backends on a fake endpoint with an editable
 * configuration, and plugins that keep their services.
 */
'use strict';

const { after, before } = require('node:test');
const { CLIENT, startEndpoint } = require('../support/manager.js');
const { makeWorkspace } = require('../../tools/backstage-workspace.js');

/** Long enough for an installation on a slow machine. */
const INSTALL_TIMEOUT_MS = 10 * 60 * 1000;
const KEY = 'boost.kagenti.auth';

/** Returns a workspace for a file's tests; its properties are set when the tests run. */
function useWorkspace(members = [], options = {}) {
  const workspace = {};
  before(async () => Object.assign(workspace, await makeWorkspace(members, options)), {
    timeout: INSTALL_TIMEOUT_MS,
  });
  after(() => workspace.remove?.());
  return workspace;
}

/** Makes `{ a: { b: value } }` from `a.b`. */
function nest(key, value) {
  return key.split('.').reduceRight((inner, part) => ({ [part]: inner }), value);
}

/**
 * The configuration of a real backend, which reads the port and the timeout from the environment.
 */
function configFile(tokenEndpoint, clientSecret) {
  return `
app: { baseUrl: 'http://127.0.0.1:3000' }
backend:
  baseUrl: http://127.0.0.1:\${BACKEND_PORT}
  listen: { host: 127.0.0.1, port: '\${BACKEND_PORT}' }
  auth:
    pluginKeyStore:
      type: static
      static:
        keys:
          - keyId: test
            algorithm: ES256
            publicKeyFile: keys/public.pem
            privateKeyFile: keys/private.pem
boost:
  kagenti:
    auth:
      tokenEndpoint: ${tokenEndpoint}
      clientId: test-client
      clientSecret: ${clientSecret}
      requestTimeoutMs: \${TIMEOUT_MS}
`;
}

/** A plugin that keeps its dependencies in `services`. */
function keeper(workspace, pluginId, deps) {
  const { createBackendPlugin } = workspace.require('@backstage/backend-plugin-api');
  const services = {};
  const plugin = createBackendPlugin({
    pluginId,
    register(env) {
      env.registerInit({ deps, init: async (given) => void Object.assign(services, given) });
    },
  });
  return { plugin, services };
}

/** An editable configuration. `edit(data)` resolves after all subscribers have been called. */
async function editableConfig(workspace, data) {
  const { ConfigSources, MutableConfigSource } = workspace.require('@backstage/config-loader');
  const { coreServices, createServiceFactory } = workspace.require('@backstage/backend-plugin-api');
  const source = MutableConfigSource.create({ data });
  const config = await ConfigSources.toConfig(source);
  return {
    factory: createServiceFactory({
      service: coreServices.rootConfig,
      deps: {},
      factory: () => config,
    }),
    edit(changed) {
      const edited = new Promise((resolve) => {
        const { unsubscribe } = config.subscribe(() => {
          unsubscribe();
          // The configuration has called earlier subscribers, and calls later ones in this turn.
          setImmediate(resolve);
        });
      });
      source.setData(changed);
      return edited;
    },
    close: () => config.close(),
  };
}

/** A root logger that keeps its own and its children's lines. */
function recordingLogger(workspace) {
  const { coreServices, createServiceFactory } = workspace.require('@backstage/backend-plugin-api');
  const lines = [];
  const make = (meta) => {
    const logger = { child: (more) => make({ ...meta, ...more }) };
    for (const level of ['error', 'warn', 'info', 'debug']) {
      logger[level] = (message, more) => lines.push({ level, message, ...meta, ...more });
    }
    return logger;
  };
  const factory = createServiceFactory({
    service: coreServices.rootLogger,
    deps: {},
    factory: () => make({}),
  });
  return { factory, lines };
}

/**
 * Starts a backend with the plugins and a fake endpoint. The configuration contains `auth` in the
 * section, and the result of `also(section)`. The test closes everything at its end.
 */
async function startBackend(t, workspace, plugins, { auth, key = KEY, also, clients } = {}) {
  const endpoint = await startEndpoint(t, { clients });
  const { tokenEndpoint } = endpoint;
  const section = { tokenEndpoint, ...CLIENT, ...auth };
  const config = await editableConfig(workspace, { ...nest(key, section), ...also?.(section) });
  t.after(() => config.close());
  const logger = recordingLogger(workspace);
  const backend = await startWithoutServer(workspace, [config.factory, logger.factory, ...plugins]);
  t.after(() => backend.stop());
  const stop = () => backend.stop();
  return { endpoint, section, edit: config.edit, lines: logger.lines, stop };
}

/**
 * A backend that does not listen, because a backend that fails to start would never close its port.
 * `use(router)` receives its plugins' routers.
 */
async function startWithoutServer(workspace, features, use = () => {}) {
  const { createBackend } = workspace.require('@backstage/backend-defaults');
  const { coreServices, createServiceFactory } = workspace.require('@backstage/backend-plugin-api');
  const routers = [coreServices.rootHttpRouter, coreServices.httpRouter].map((service) =>
    createServiceFactory({ service, deps: {}, factory: () => ({ use, addAuthPolicy() {} }) }),
  );
  const backend = createBackend();
  for (const feature of [...routers, ...features]) backend.add(feature);
  await backend.start();
  return backend;
}

module.exports = {
  CLIENT,
  INSTALL_TIMEOUT_MS,
  KEY,
  configFile,
  editableConfig,
  keeper,
  nest,
  recordingLogger,
  startBackend,
  startWithoutServer,
  useWorkspace,
};
