'use strict';

/** The real catalog module for Keycloak, and the way in which it gets tokens from a manager. */

const { createRequire } = require('node:module');

const MODULE = '@backstage-community/plugin-catalog-backend-module-keycloak';

/** Loads the module and the admin client that it uses. */
function loadModule(workspace) {
  const { require } = workspace;
  const own = createRequire(require.resolve(`${MODULE}/package.json`));
  return {
    ...require(MODULE),
    AdminClient: own('@keycloak/keycloak-admin-client').default,
    ConfigReader: require('@backstage/config').ConfigReader,
  };
}

/**
 * Replaces the admin client's login, which the module calls before requests, with a manager.
 * Without a token provider, the client itself refuses tokens that expire within 5 s. Returns a
 * function that restores the login.
 */
function replaceLogin({ prototype }, manager) {
  const { auth } = prototype;
  const clients = new WeakSet();
  const provider = { getAccessToken: () => manager.getToken() };
  prototype.auth = async function authenticate() {
    if (!clients.has(this)) this.registerTokenProvider(provider);
    clients.add(this);
    this.setAccessToken(await manager.getToken());
  };
  return () => Object.assign(prototype, { auth });
}

/** Reads the users and groups of a realm once, as the module's schedule does. */
async function ingest({ ConfigReader, KeycloakOrgEntityProvider }, section) {
  const problems = [];
  const logger = { debug() {}, info() {}, child: () => logger };
  for (const level of ['error', 'warn']) {
    logger[level] = (message, more) => problems.push(`${message} ${more?.message ?? more ?? ''}`);
  }
  const config = new ConfigReader({
    catalog: { providers: { keycloakOrg: { default: section } } },
  });
  const schedule = { run: ({ fn }) => fn() };
  const [provider] = KeycloakOrgEntityProvider.fromConfig({ config, logger }, { schedule });
  const startedAt = performance.now();
  const entities = [];
  const applyMutation = async (change) => void entities.push(...change.entities);
  await provider.connect({ applyMutation });
  const seconds = (performance.now() - startedAt) / 1_000;
  const count = (kind) => entities.filter(({ entity }) => entity.kind === kind).length;
  return { users: count('User'), groups: count('Group'), problems, seconds };
}

module.exports = { MODULE, ingest, loadModule, replaceLogin };
