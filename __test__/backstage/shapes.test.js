'use strict';

/** One backend whose five plugins keep their credentials in five forms, as existing plugins do. */

const assert = require('node:assert/strict');
const { test } = require('node:test');
const { startApi } = require('../support/api-server.js');
const { tokenResponse } = require('../support/manager.js');
const {
  editableConfig,
  keeper,
  recordingLogger,
  startWithoutServer,
  useWorkspace,
} = require('./support.js');

const JSON_TYPE = { 'content-type': 'application/json' };
const SECRET = 'secret-of-the-client';
const KAGENTI = { clientId: 'kagenti', clientSecret: SECRET };
const workspace = useWorkspace();

test('a backend with five plugins logs in once for each client', async (t) => {
  const logins = [];
  const { url } = await startApi(t, (request, _response, body) => {
    const clientId = new URLSearchParams(body).get('client_id');
    logins.push(`${clientId} at ${request.url}`);
    return [200, JSON_TYPE, JSON.stringify(tokenResponse(`token-of-${clientId}`, 300))];
  });
  const tokenEndpoint = `${url}/realms/portal/protocol/openid-connect/token`;
  const config = await editableConfig(workspace, {
    boost: { kagenti: { auth: { tokenEndpoint, ...KAGENTI, tokenExchange: { enabled: false } } } },
    augment: { kagenti: { baseUrl: url, auth: { tokenEndpoint, ...KAGENTI } } },
    costManagement: { clientId: 'console', clientSecret: SECRET, ssoBaseUrl: url },
    // In a development configuration, `${VAR:-}` yields empty strings.
    openchoreo: { auth: { tokenUrl: '', clientId: '', clientSecret: '' } },
    catalog: { providers: { keycloakOrg: { default: { baseUrl: url, clientId: 'catalog' } } } },
  });
  t.after(() => config.close());
  const entry = workspace.require('keycloak-token-manager/backstage');
  const readChoreo = (given) => entry.readOAuthClientOptions(given, 'openchoreo.auth');
  const plugins = Object.entries({
    boost: { configKey: 'boost.kagenti.auth', knownKeys: ['tokenExchange'] },
    augment: { read: entry.readAugmentKagentiOptions },
    'cost-management': { read: entry.readCostManagementOptions },
    openchoreo: { read: readChoreo, optional: true },
    catalog: { read: (given) => entry.readKeycloakOrgOptions(given), optional: true },
  }).map(([id, settings]) =>
    keeper(workspace, id, {
      tokens: entry.createKeycloakTokenManagerServiceRef({ id: `${id}.tokens`, ...settings }),
    }),
  );
  const logger = recordingLogger(workspace);
  const features = plugins.map(({ plugin }) => plugin);
  const backend = await startWithoutServer(workspace, [
    config.factory,
    logger.factory,
    ...features,
  ]);
  t.after(() => backend.stop());

  const [boost, augment, cost, choreo, catalog] = plugins.map(({ services }) => services.tokens);
  assert.equal(choreo.manager, undefined);
  assert.equal(catalog.manager, undefined);
  const tokens = await Promise.all([boost, augment, cost, boost].map((each) => each.getToken()));
  const kagenti = 'token-of-kagenti';
  assert.deepEqual(tokens, [kagenti, kagenti, 'token-of-console', kagenti]);
  assert.deepEqual(logins.sort(), [
    'console at /auth/realms/redhat-external/protocol/openid-connect/token',
    'kagenti at /realms/portal/protocol/openid-connect/token',
  ]);

  const said = logger.lines.filter(({ service }) => /\.tokens$/.test(service));
  const texts = said.map(({ service, level, message }) => `${service} ${level}: ${message}`);
  const keys = (section, ...names) => names.map((name) => `${section}.${name}`);
  const list = (names) => `${names.slice(0, -1).join(', ')} and ${names.at(-1)}`;
  assert.deepEqual(
    texts.filter((text) => !text.includes(' debug: ')).sort(),
    [
      'boost.tokens info: the manager uses configuration "boost.kagenti.auth" (' +
        'tokenEndpoint, clientId and clientSecret)',
      `augment.tokens info: the manager uses the configuration (${list([
        ...keys('augment.kagenti.auth', 'tokenEndpoint', 'clientId', 'clientSecret'),
        'augment.kagenti.baseUrl',
      ])})`,
      `cost-management.tokens info: the manager uses the configuration (${list(
        keys('costManagement', 'clientId', 'clientSecret', 'ssoBaseUrl'),
      )})`,
      'openchoreo.tokens info: the service has no manager: service "openchoreo.tokens": the ' +
        `configuration contains no credentials; read looked up ${list(
          keys('openchoreo.auth', 'tokenUrl', 'clientId', 'clientSecret'),
        )}`,
      'catalog.tokens warn: the service has no manager: configuration ' +
        '"catalog.providers.keycloakOrg.default": incomplete: the section has clientId, but ' +
        'clientSecret is missing',
    ].sort(),
  );
  assert.ok(!JSON.stringify(logger.lines).includes(SECRET));
});
