'use strict';

/** A Keycloak whose admin API gives the answers that the catalog module needs. */

const assert = require('node:assert/strict');
const { startApi } = require('../support/api-server.js');
const { delay, startEndpoint, times } = require('../support/manager.js');

const USERS = times(450, (index) => ({ id: `u${index}`, username: `user-${index}` }));
const GROUPS = times(40, (index) => ({ id: `g${index}`, name: `group-${index}` }));
const JSON_TYPE = { 'content-type': 'application/json' };

/** Returns the admin API's answer: a page of a list, a count, or the server's version. */
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

/** Starts a Keycloak whose admin API takes `latencyMs` for each answer. */
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

module.exports = { GROUPS, USERS, startKeycloak };
