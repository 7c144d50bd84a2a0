'use strict';

/** The readers for the configuration of existing plugins. */

const assert = require('node:assert/strict');
const { describe, test } = require('node:test');
const { nest, useWorkspace } = require('./support.js');

const CANARY = 'canary-of-a-secret';
const ENDPOINT = 'https://sso.example.org/realms/kagenti/protocol/openid-connect/token';
const CLIENT = { clientId: 'portal', clientSecret: CANARY };
const ORG = 'catalog.providers.keycloakOrg.default';
const ORG_ENDPOINT = 'https://sso.example.org/realms/master/protocol/openid-connect/token';
const SSO_ENDPOINT =
  'https://sso.redhat.com/auth/realms/redhat-external/protocol/openid-connect/token';
const OAUTH = 'openchoreo.auth';

/** The reader, the configuration, and the options: `undefined` without credentials. */
const READ = {
  'augment, with its options beside the section': [
    (readers, config) => readers.readAugmentKagentiOptions(config),
    nest('augment.kagenti', {
      baseUrl: 'https://kagenti.example.org',
      namespace: 'team1',
      skipTlsVerify: 'true',
      tokenExpiryBufferSeconds: '90',
      requestTimeoutMs: 5000,
      auth: { tokenEndpoint: ENDPOINT, ...CLIENT, tokenExchange: { enabled: true } },
    }),
    {
      tokenEndpoint: ENDPOINT,
      ...CLIENT,
      skipTlsVerify: true,
      tokenExpiryBufferSeconds: 90,
      resource: { baseUrl: 'https://kagenti.example.org' },
    },
  ],
  'augment with nothing beside the section': [
    (readers, config) => readers.readAugmentKagentiOptions(config),
    nest('augment.kagenti', { skipTlsVerify: '', auth: { tokenEndpoint: ENDPOINT, ...CLIENT } }),
    { tokenEndpoint: ENDPOINT, ...CLIENT },
  ],
  'augment below another key': [
    (readers, config) => readers.readAugmentKagentiOptions(config, 'acme.kagenti'),
    nest('acme.kagenti.auth', { tokenEndpoint: ENDPOINT, ...CLIENT }),
    { tokenEndpoint: ENDPOINT, ...CLIENT },
  ],
  'augment without credentials': [
    (readers, config) => readers.readAugmentKagentiOptions(config),
    nest('augment.kagenti', {
      baseUrl: 'https://kagenti.example.org',
      auth: { tokenEndpoint: '', clientId: '', clientSecret: '' },
    }),
    undefined,
  ],
  'cost-management with its defaults': [
    (readers, config) => readers.readCostManagementOptions(config),
    { costManagement: CLIENT },
    { tokenEndpoint: SSO_ENDPOINT, ...CLIENT, scope: 'api.console' },
  ],
  'cost-management with another server': [
    (readers, config) => readers.readCostManagementOptions(config),
    { costManagement: { ...CLIENT, ssoBaseUrl: 'https://sso.example.org/' } },
    {
      tokenEndpoint: SSO_ENDPOINT.replace('sso.redhat.com', 'sso.example.org'),
      ...CLIENT,
      scope: 'api.console',
    },
  ],
  'cost-management without credentials': [
    (readers, config) => readers.readCostManagementOptions(config),
    { costManagement: { ssoBaseUrl: 'https://sso.example.org', clientId: '', clientSecret: '' } },
    undefined,
  ],
  'the catalog module, with the realm of its users': [
    (readers, config) => readers.readKeycloakOrgOptions(config),
    nest(ORG, { baseUrl: 'https://sso.example.org/', realm: 'staff', ...CLIENT }),
    { tokenEndpoint: ORG_ENDPOINT, ...CLIENT, resource: { baseUrl: 'https://sso.example.org/' } },
  ],
  'the catalog module, with another id and login realm': [
    (readers, config) => readers.readKeycloakOrgOptions(config, 'staff'),
    nest('catalog.providers.keycloakOrg.staff', {
      baseUrl: 'https://sso.example.org',
      loginRealm: 'a b',
      ...CLIENT,
    }),
    {
      tokenEndpoint: ORG_ENDPOINT.replace('master', 'a%20b'),
      ...CLIENT,
      resource: { baseUrl: 'https://sso.example.org' },
    },
  ],
  'the catalog module with a client and a password': [
    (readers, config) => readers.readKeycloakOrgOptions(config),
    nest(ORG, { baseUrl: 'https://sso.example.org', username: 'a', password: 'b', ...CLIENT }),
    { tokenEndpoint: ORG_ENDPOINT, ...CLIENT, resource: { baseUrl: 'https://sso.example.org' } },
  ],
  'the catalog module without credentials': [
    (readers, config) => readers.readKeycloakOrgOptions(config),
    nest(ORG, { baseUrl: 'https://sso.example.org', clientId: '', clientSecret: '' }),
    undefined,
  ],
  'an OAuth client': [
    (readers, config) => readers.readOAuthClientOptions(config, OAUTH),
    nest(OAUTH, { tokenUrl: ENDPOINT, ...CLIENT, scopes: ['a', 'b'], enabled: true }),
    { tokenEndpoint: ENDPOINT, ...CLIENT, scope: ['a', 'b'] },
  ],
  'an OAuth client with an empty scope in its list': [
    (readers, config) => readers.readOAuthClientOptions(config, OAUTH),
    nest(OAUTH, { tokenUrl: ENDPOINT, ...CLIENT, scopes: ['a', ''] }),
    { tokenEndpoint: ENDPOINT, ...CLIENT, scope: ['a'] },
  ],
  'an OAuth client with its scopes in a string': [
    (readers, config) => readers.readOAuthClientOptions(config, OAUTH),
    nest(OAUTH, { tokenUrl: ENDPOINT, ...CLIENT, scopes: 'a b' }),
    { tokenEndpoint: ENDPOINT, ...CLIENT, scope: 'a b' },
  ],
  'an OAuth client without scopes': [
    (readers, config) => readers.readOAuthClientOptions(config, OAUTH),
    nest(OAUTH, { tokenUrl: ENDPOINT, ...CLIENT, scopes: '' }),
    { tokenEndpoint: ENDPOINT, ...CLIENT },
  ],
  'an OAuth client that is not configured': [
    (readers, config) => readers.readOAuthClientOptions(config, OAUTH),
    {},
    undefined,
  ],
};

const REFUSED = {
  'an incomplete augment section': [
    (readers, config) => readers.readAugmentKagentiOptions(config),
    nest('augment.kagenti.auth', { tokenEndpoint: ENDPOINT, clientId: 'portal' }),
    'configuration "augment.kagenti": incomplete: the section has ' +
      'auth.tokenEndpoint and auth.clientId, but auth.clientSecret is missing',
  ],
  'an incomplete cost-management section': [
    (readers, config) => readers.readCostManagementOptions(config),
    { costManagement: { clientSecret: CANARY } },
    'configuration "costManagement": incomplete: the section has clientSecret, but clientId is missing',
  ],
  'a catalog module without a server': [
    (readers, config) => readers.readKeycloakOrgOptions(config),
    nest(ORG, CLIENT),
    `configuration "${ORG}": incomplete: the section has clientId and clientSecret, but baseUrl is ` +
      'missing',
  ],
  'a catalog module with a password': [
    (readers, config) => readers.readKeycloakOrgOptions(config),
    nest(ORG, { baseUrl: 'https://sso.example.org', username: 'admin', password: CANARY }),
    `configuration "${ORG}": the manager cannot use a user name and password; set ` +
      'clientId and clientSecret of a client with a service account',
  ],
  'a catalog module with a password and a client id': [
    (readers, config) => readers.readKeycloakOrgOptions(config),
    nest(ORG, { clientId: 'admin-cli', username: 'admin', password: CANARY }),
    /the manager cannot use a user name and password; set clientId and clientSecret/,
  ],
  'a list of scopes with a number': [
    (readers, config) => readers.readOAuthClientOptions(config, OAUTH),
    nest(OAUTH, { tokenUrl: ENDPOINT, ...CLIENT, scopes: ['a', 7351] }),
    /^configuration "openchoreo\.auth": .*scopes\[1\].*got number, wanted string/,
  ],
  'a secret that is a number': [
    (readers, config) => readers.readOAuthClientOptions(config, OAUTH),
    nest(OAUTH, { tokenUrl: ENDPOINT, clientId: 'portal', clientSecret: 7351 }),
    /^configuration "openchoreo\.auth": .*clientSecret.*got number, wanted string/,
  ],
  'an OAuth client without a key': [
    (readers, config) => readers.readOAuthClientOptions(config),
    {},
    'key: expected a non-empty string',
  ],
};

describe('the readers for existing plugins', () => {
  const workspace = useWorkspace();

  function call(read, data) {
    const { ConfigReader } = workspace.require('@backstage/config');
    return read(workspace.require('keycloak-token-manager/backstage'), new ConfigReader(data));
  }

  for (const [what, [read, data, expected]] of Object.entries(READ)) {
    test(`read ${what}`, () => {
      const options = call(read, data);
      assert.deepEqual(options, expected);
      const { KeycloakTokenManager } = workspace.require('keycloak-token-manager');
      if (options !== undefined) new KeycloakTokenManager(options).close();
    });
  }

  for (const [what, [read, data, message]] of Object.entries(REFUSED)) {
    test(`refuse ${what}`, () => {
      assert.throws(
        () => call(read, data),
        (error) => {
          assert.equal(error.code, 'ERR_KEYCLOAK_CONFIG');
          if (typeof message === 'string') assert.equal(error.message, message);
          else assert.match(error.message, message);
          assert.doesNotMatch(error.message, new RegExp(`${CANARY}|7351`));
          return true;
        },
      );
    });
  }
});
