/**
 * A realm with users, the clients that they sign in to, APIs, and clients that exchange the users'
 * tokens or request many tokens of their own.
 */
'use strict';

const assert = require('node:assert/strict');
const { after, before } = require('node:test');

const { createRealm } = require('./keycloak');

const SECRET = 'canary-of-the-clients-secret';
const PASSWORD = 'canary-of-the-users-password';

const audienceMapper = (config) => ({
  name: 'aud',
  protocol: 'openid-connect',
  protocolMapper: 'oidc-audience-mapper',
  config: { 'access.token.claim': 'true', ...config },
});
const scopeFor = (name, config) => ({
  name,
  protocol: 'openid-connect',
  attributes: { 'include.in.token.scope': 'true' },
  protocolMappers: [audienceMapper(config)],
});
const ofClient = (id) => scopeFor(`aud-${id}`, { 'included.client.audience': id });
const basic = {
  name: 'basic',
  protocol: 'openid-connect',
  attributes: { 'include.in.token.scope': 'false' },
  protocolMappers: [
    {
      name: 'sub',
      protocol: 'openid-connect',
      protocolMapper: 'oidc-sub-mapper',
      config: { 'access.token.claim': 'true', 'introspection.token.claim': 'true' },
    },
  ],
};

/** A client to which users sign in. */
const app = (clientId, members) => ({
  clientId,
  publicClient: true,
  directAccessGrantsEnabled: true,
  defaultClientScopes: ['basic', 'aud-requester', 'aud-consent'],
  optionalClientScopes: [],
  ...members,
});
const service = (clientId, { attributes, ...members } = {}) => ({
  clientId,
  secret: SECRET,
  serviceAccountsEnabled: true,
  standardFlowEnabled: false,
  fullScopeAllowed: false,
  defaultClientScopes: ['basic'],
  optionalClientScopes: ['aud-api1', 'aud-api2', 'aud-url'],
  // Without this attribute, introspection reports a token for other APIs as inactive.
  attributes: { 'allow.token.introspection.without.audience.check': 'true', ...attributes },
  ...members,
});
const exchange = { 'standard.token.exchange.enabled': 'true' };
const user = (username) => ({
  username,
  enabled: true,
  email: `${username}@example.com`,
  firstName: username,
  lastName: 'Example',
  credentials: [{ type: 'password', value: PASSWORD }],
});

const REALM = {
  clientScopes: [
    basic,
    ...['api1', 'api2', 'requester', 'consent'].map(ofClient),
    scopeFor('aud-url', { 'included.custom.audience': 'https://api.example.com' }),
  ],
  clients: [
    service('api1'),
    service('api2'),
    service('api3'),
    service('api-off', { enabled: false }),
    app('app'),
    app('short-lived', { attributes: { 'access.token.lifespan': '3' } }),
    app('without-audience', { defaultClientScopes: ['basic'] }),
    app('lightweight', { attributes: { 'client.use.lightweight.access.token.enabled': 'true' } }),
    app('turned-off'),
    service('bound', { defaultClientScopes: ['basic', 'aud-requester'] }),
    service('requester', { attributes: exchange }),
    service('consent', { attributes: exchange, consentRequired: true }),
    service('public', { attributes: exchange, publicClient: true, serviceAccountsEnabled: false }),
    service('switched-off'),
    service('many'),
  ],
  users: ['alice', 'disabled', 'deleted', 'signed-out'].map(user),
};

/**
 * Makes the realm before a suite's tests. Its properties are set when the tests run.
 *
 * @param {object} [representation] another realm
 */
function realmWithUsers(keycloak, representation = REALM) {
  const realm = {};
  const ends = [];
  before(async () => {
    const made = await createRealm({ after: (end) => ends.push(end) }, keycloak, representation);
    Object.assign(realm, made, {
      /** Signs a user in, and returns the token endpoint's answer. */
      signIn: async (username, clientId = 'app', { scope = '', tokenEndpoint } = {}) => {
        const form = { grant_type: 'password', client_id: clientId, username, password: PASSWORD };
        const body = new URLSearchParams({ ...form, ...(scope && { scope }) });
        const response = await fetch(tokenEndpoint ?? made.tokenEndpoint, { method: 'POST', body });
        assert.equal(response.status, 200, `${username} can sign in to ${clientId}`);
        return response.json();
      },
      /** Whether the server still accepts a token, as a client sees it. */
      isActive: async (token) => {
        const url = `${made.realmUrl}/protocol/openid-connect/token/introspect`;
        const body = new URLSearchParams({ client_id: 'many', client_secret: SECRET, token });
        return (await (await fetch(url, { method: 'POST', body })).json()).active;
      },
      revoke: async (clientId, token) => {
        const url = `${made.realmUrl}/protocol/openid-connect/revoke`;
        const body = new URLSearchParams({ client_id: clientId, token });
        assert.equal((await fetch(url, { method: 'POST', body })).status, 200);
      },
      idOf: async (username) => (await made.admin('GET', `/users?username=${username}`))[0].id,
      change: async (clientId, members) => {
        const [client] = await made.admin('GET', `/clients?clientId=${clientId}`);
        await made.admin('PUT', `/clients/${client.id}`, { ...client, ...members });
      },
    });
  });
  after(() => Promise.all(ends.map((end) => end())));
  return realm;
}

module.exports = { SECRET, realmWithUsers, user };
