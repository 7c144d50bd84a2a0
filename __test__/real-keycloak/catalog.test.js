/**
 * The real catalog module for Keycloak reads a realm of a real Keycloak with a manager's tokens.
 */
'use strict';

const assert = require('node:assert/strict');
const { test } = require('node:test');

const { useWorkspace } = require('../backstage/support.js');
const { ingest, loadModule, replaceLogin } = require('../plugins/catalog-module.js');
const { times } = require('../support/manager.js');
const { createRealm, describeWithKeycloak, manage } = require('./support/keycloak');

const CLIENT = { clientId: 'catalog', clientSecret: 'secret-of-catalog' };
const USERS = 450;
const GROUPS = 40;
const INGESTIONS = 3;

/** A realm with users in groups, and a client that may read them with tokens of `life` seconds. */
function realmWith(life) {
  const groups = times(GROUPS, (index) => ({ name: `group-${index}` }));
  const users = times(USERS, (index) => ({
    username: `user-${index}`,
    enabled: true,
    groups: [`/group-${index % GROUPS}`],
  }));
  const client = {
    clientId: CLIENT.clientId,
    secret: CLIENT.clientSecret,
    serviceAccountsEnabled: true,
    attributes: { 'access.token.lifespan': String(life) },
  };
  const account = {
    username: `service-account-${CLIENT.clientId}`,
    enabled: true,
    serviceAccountClientId: CLIENT.clientId,
    clientRoles: { 'realm-management': ['view-users', 'query-groups', 'view-realm'] },
  };
  return { groups, users: [...users, account], clients: [client] };
}

describeWithKeycloak('the catalog module on a real Keycloak', {}, (keycloak) => {
  const workspace = useWorkspace();

  for (const [life, mostLogins] of [
    [25, () => 1],
    [2, (seconds) => 1 + seconds],
  ]) {
    test(`reads ${USERS} users three times with ${life} s tokens`, async (t) => {
      const realm = await createRealm(t, keycloak, realmWith(life));
      const module = loadModule(workspace);
      const section = {
        ...{ baseUrl: keycloak.url, realm: realm.name, loginRealm: realm.name },
        ...CLIENT,
      };
      const own = await ingest(module, section);
      t.diagnostic(`own login: ${own.users} users, ${own.problems[0] ?? 'without a failure'}`);

      const manager = manage(t, { tokenEndpoint: realm.tokenEndpoint, ...CLIENT });
      t.after(replaceLogin(module.AdminClient, manager));
      for (const _ of times(INGESTIONS)) {
        const before = manager.snapshot().counters.acquisitions;
        const { seconds, ...read } = await ingest(module, section);
        const logins = manager.snapshot().counters.acquisitions - before;
        t.diagnostic(`manager: ${logins} logins in ${seconds.toFixed(1)} s`);
        assert.deepEqual(read, { users: USERS, groups: GROUPS, problems: [] });
        assert.ok(logins <= mostLogins(seconds), `${logins} logins in ${seconds} s`);
      }
    });
  }
});
