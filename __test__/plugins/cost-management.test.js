'use strict';

/**
 * The real backend of the cost-management plugin, from npm, with its own token function, and with a
 * manager instead. Only the plugin's package of clients and permissions is a double.
 */

const assert = require('node:assert/strict');
const http = require('node:http');
const path = require('node:path');
const { before, describe, test } = require('node:test');
const { KeycloakTokenError } = require('../..');
const { writeKeys } = require('../../examples/backstage-plugin/backend-process.js');
const {
  editableConfig,
  recordingLogger,
  startWithoutServer,
  useWorkspace,
} = require('../backstage/support.js');
const { startApi } = require('../support/api-server.js');
const { listen } = require('../support/listen.js');
const { delay, times, tokenResponse } = require('../support/manager.js');

const PLUGIN = '@red-hat-developer-hub/plugin-cost-management-backend';
const CLIENT_ID = 'console';
const SECRET = 'plain-secret';
const RESERVED = 'a+b&c%d é';
/** The duration of a login over the Internet. */
const LOGIN_MS = 100;
const JSON_TYPE = { 'content-type': 'application/json' };

/** Starts a realm with one client; `logins` lists the token requests that it receives. */
async function startSso(t, secret) {
  const { url, requests } = await startApi(t, async (_request, _response, body) => {
    await delay(LOGIN_MS);
    const form = new URLSearchParams(body);
    const isRight = form.get('client_id') === CLIENT_ID && form.get('client_secret') === secret;
    return isRight
      ? [200, JSON_TYPE, JSON.stringify(tokenResponse(`token-${requests.length}`, 900))]
      : [401, JSON_TYPE, '{"error":"unauthorized_client","error_description":"Invalid client"}'];
  });
  return { url, logins: requests };
}

/** Makes a backend cache that a test can empty, as a restart does. */
function makeCache() {
  const entries = new Map();
  return {
    get: async (key) => entries.get(key),
    set: async (key, value) => void entries.set(key, value),
    delete: async (key) => void entries.delete(key),
    withOptions: () => undefined,
    empty: () => entries.clear(),
  };
}

/** The plugin accepts any caller, and its backend needs no database. */
function authSection(folder) {
  const fileOf = (name) => path.join(folder, 'keys', name);
  const key = {
    keyId: 'test',
    algorithm: 'ES256',
    publicKeyFile: fileOf('public.pem'),
    privateKeyFile: fileOf('private.pem'),
  };
  return {
    dangerouslyDisableDefaultAuthPolicy: true,
    pluginKeyStore: { type: 'static', static: { keys: [key] } },
  };
}

describe('cost-management', { concurrency: 1 }, () => {
  const workspace = useWorkspace();
  before(() => writeKeys(path.join(workspace.folder, 'keys')));

  /** The module with the plugin's token function, which the plugin looks up for each call. */
  function tokenModule() {
    const manifest = workspace.require.resolve(`${PLUGIN}/package.json`);
    return require(path.join(path.dirname(manifest), 'dist', 'util', 'tokenUtil.cjs.js'));
  }

  /** The change to the plugin: a service in place of the function, with the plugin's own error. */
  function replacement(t) {
    const { coreServices, createBackendModule } = workspace.require(
      '@backstage/backend-plugin-api',
    );
    const { createKeycloakTokenManagerServiceRef, readCostManagementOptions } = workspace.require(
      'keycloak-token-manager/backstage',
    );
    const tokensRef = createKeycloakTokenManagerServiceRef({
      id: 'cost-management.tokens',
      read: readCostManagementOptions,
    });
    const services = {};
    const feature = createBackendModule({
      pluginId: 'cost-management',
      moduleId: 'tokens',
      register(env) {
        env.registerInit({
          deps: { tokens: tokensRef, logger: coreServices.logger },
          async init({ tokens }) {
            services.tokens = tokens;
            const module = tokenModule();
            const { getTokenFromApi, SsoAuthenticationError } = module;
            t.after(() => Object.assign(module, { getTokenFromApi }));
            module.getTokenFromApi = () =>
              tokens.getToken().catch((error) => {
                if (!(error instanceof KeycloakTokenError)) throw error;
                throw new SsoAuthenticationError('no token', error.status);
              });
          },
        });
      },
    });
    return { feature, services };
  }

  /** Starts the plugin; `ask(count)` sends concurrent requests through it, with an empty cache. */
  async function startPlugin(t, { isOurs, secret = SECRET, configured = secret }) {
    const sso = await startSso(t, secret);
    const api = await startApi(t, ({ headers }) =>
      /^Bearer token-/.test(headers.authorization)
        ? [200, JSON_TYPE, '{"data":[]}']
        : [401, JSON_TYPE, '{}'],
    );
    const config = await editableConfig(workspace, {
      app: { baseUrl: 'http://127.0.0.1' },
      backend: { baseUrl: 'http://127.0.0.1', auth: authSection(workspace.folder) },
      costManagement: { clientId: CLIENT_ID, clientSecret: configured, ssoBaseUrl: sso.url },
      costManagementProxyBaseUrl: `${api.url}/api`,
    });
    t.after(() => config.close());
    const { coreServices, createServiceFactory } = workspace.require(
      '@backstage/backend-plugin-api',
    );
    const cache = makeCache();
    const replaced = replacement(t);
    const app = workspace.require('express')();
    const logger = recordingLogger(workspace);
    const backend = await startWithoutServer(
      workspace,
      [
        config.factory,
        logger.factory,
        createServiceFactory({ service: coreServices.cache, deps: {}, factory: () => cache }),
        workspace.require(PLUGIN),
        ...(isOurs ? [replaced.feature] : []),
      ],
      (router) => app.use(router),
    );
    t.after(() => backend.stop());
    const { url } = await listen(t, http.createServer(app));
    const ask = async (count) => {
      cache.empty();
      replaced.services.tokens?.clearCache();
      // Waits until a cool-down that began at the start is over.
      await delay(1_500);
      const before = sso.logins.length;
      const answers = await Promise.all(times(count, () => fetch(`${url}/proxy/reports/costs/`)));
      const statuses = [...new Set(answers.map(({ status }) => status))];
      const texts = await Promise.all(answers.map((answer) => answer.text()));
      return { statuses, texts, logins: sso.logins.length - before };
    };
    return { ask, lines: logger.lines, api };
  }

  const CASES = {
    'twenty requests without a cached token': {
      count: 20,
      ours: { statuses: [200], logins: 1 },
      note: 'in September 2026: 15 logins',
    },
    'a secret with reserved characters': {
      count: 1,
      secret: RESERVED,
      ours: { statuses: [200], logins: 1 },
      note: 'in September 2026: status 502',
    },
    'forty requests with a wrong secret': {
      count: 40,
      configured: 'wrong',
      ours: { statuses: [502], logins: 1 },
      note: 'each request logged in',
    },
  };
  for (const [name, { count, ours, note, ...secrets }] of Object.entries(CASES)) {
    test(`serves ${name}`, async (t) => {
      const theirs = await startPlugin(t, { isOurs: false, ...secrets });
      const before = await theirs.ask(count);
      const { ask, lines } = await startPlugin(t, { isOurs: true, ...secrets });
      const { texts, ...after } = await ask(count);
      t.diagnostic(`own function: status ${before.statuses}, logins ${before.logins}; ${note}`);
      t.diagnostic(`manager: status ${after.statuses}, logins ${after.logins}`);
      assert.deepEqual(after, ours);
      const shown = texts.join('') + JSON.stringify(lines);
      assert.doesNotMatch(shown, /a\+b|a%2Bb|plain-secret|token-\d/);
      assert.doesNotMatch(texts.join(''), /realms/);
    });
  }
});
