'use strict';

/**
 * The real catalog module for Keycloak, from npm, with a fake Keycloak: its own login, and a manager
 * in its place. `real-keycloak/catalog.test.js` does the same with a real one.
 */

const assert = require('node:assert/strict');
const { describe, test } = require('node:test');
const { useWorkspace } = require('../backstage/support.js');
const { startApi } = require('../support/api-server.js');
const { CLIENT, delay, openManager, startEndpoint, times } = require('../support/manager.js');
const { ingest, loadModule, replaceLogin } = require('./catalog-module.js');

const USERS = times(450, (index) => ({ id: `u${index}`, username: `user-${index}` }));
const GROUPS = times(40, (index) => ({ id: `g${index}`, name: `group-${index}` }));
const INGESTIONS = 3;
const JSON_TYPE = { 'content-type': 'application/json' };

/** What the module's own login did in September 2026 in three ingestions. */
const RECORDED = { 25: '270 token requests', 2: 'every ingestion failed' };

/** The members of the lists of the admin API, and its numbers. */
function answerOf(path, query) {
  const page = (list) => list.slice(+query.get('first'), +query.get('first') + +query.get('max'));
  if (path.endsWith('/users/count')) return USERS.length;
  if (path.endsWith('/groups/count')) return { count: GROUPS.length };
  if (path.endsWith('/users')) return page(USERS);
  if (path.endsWith('/groups')) return page(GROUPS);
  if (path.endsWith('/members')) return page(USERS.slice(0, 10));
  assert.ok(path.endsWith('/serverinfo'), path);
  return { systemInfo: { version: '26.7.5' } };
}

/** Keycloak's rule: a token is valid in the second in which it expires. */
function isAlive(token) {
  const [, payload] = token.split('.');
  const { exp } = JSON.parse(Buffer.from(payload, 'base64url'));
  return Math.floor(Date.now() / 1_000) <= exp;
}

/** A Keycloak whose admin API takes `latencyMs` for each answer. */
async function startKeycloak(t, expiresIn, latencyMs) {
  const endpoint = await startEndpoint(t, { expiresIn });
  const api = await startApi(t, async ({ url, method, headers }, _response, body) => {
    if (url.startsWith('/realms/')) {
      const { authorization } = headers;
      const init = { method, headers: { authorization, 'content-type': headers['content-type'] } };
      const answer = await fetch(`${endpoint.url}${url}`, { ...init, body });
      return [answer.status, JSON_TYPE, await answer.text()];
    }
    await delay(latencyMs);
    if (!isAlive(headers.authorization ?? '..')) return [401, JSON_TYPE, '{}'];
    const { pathname, searchParams } = new URL(url, 'http://localhost');
    const answer = answerOf(pathname.replace(/\/$/, ''), searchParams);
    return [200, JSON_TYPE, JSON.stringify(answer)];
  });
  return { endpoint, url: api.url };
}

describe('the catalog module for Keycloak', () => {
  const workspace = useWorkspace();

  for (const { life, latencyMs, mostLogins } of [
    { life: 25, latencyMs: 5, mostLogins: () => 1 },
    { life: 2, latencyMs: 100, mostLogins: (seconds) => 1 + seconds },
  ]) {
    test(`reads a realm three times with tokens of ${life} s`, async (t) => {
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
