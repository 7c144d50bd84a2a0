'use strict';

/**
 * The real catalog module for Keycloak, from npm, with a fake Keycloak: its own login, and a manager
 * in its place. `real-keycloak/catalog.test.js` does the same with a real Keycloak.
 */

const assert = require('node:assert/strict');
const { describe, test } = require('node:test');
const { useWorkspace } = require('../backstage/support.js');
const { CLIENT, openManager, times } = require('../support/manager.js');
const { ingest, loadModule, replaceLogin } = require('./catalog-module.js');
const { GROUPS, USERS, startKeycloak } = require('./fake-keycloak.js');

const INGESTIONS = 3;

/** The results of three ingestions with the module's own login in September 2026. */
const RECORDED = { 25: '270 token requests', 2: 'every ingestion failed' };

describe('the catalog module for Keycloak', () => {
  const workspace = useWorkspace();

  for (const { life, latencyMs, mostLogins } of [
    { life: 25, latencyMs: 5, mostLogins: () => 1 },
    { life: 2, latencyMs: 100, mostLogins: (seconds) => 1 + seconds },
  ]) {
    test(`reads a realm three times with ${life} s tokens`, async (t) => {
      const { endpoint, url } = await startKeycloak(t, life, latencyMs);
      const module = loadModule(workspace);
      const section = {
        ...{ baseUrl: url, realm: 'test', loginRealm: 'test', maxConcurrency: 4 },
        ...CLIENT,
      };
      const run = async () => {
        const before = endpoint.requestCount;
        const result = await ingest(module, section);
        return { ...result, logins: endpoint.requestCount - before };
      };

      const own = await run();
      const outcome = own.users === USERS.length ? 'succeeds' : `fails: ${own.problems[0]}`;
      t.diagnostic(`own login: ${own.logins} token requests, one ingestion ${outcome}`);
      t.diagnostic(`own login, recorded for ${INGESTIONS} ingestions: ${RECORDED[life]}`);

      const manager = openManager(t, { tokenEndpoint: endpoint.tokenEndpoint });
      t.after(replaceLogin(module.AdminClient, manager));
      for (const _ of times(INGESTIONS)) {
        const { seconds, logins, ...read } = await run();
        t.diagnostic(`manager: ${logins} token requests in ${seconds.toFixed(1)} s`);
        assert.deepEqual(read, { users: USERS.length, groups: GROUPS.length, problems: [] });
        assert.ok(logins <= mostLogins(seconds), `${logins} logins in ${seconds} s`);
      }
    });
  }
});
