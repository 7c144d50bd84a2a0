/**
 * One real Keycloak for the tests of a file, and its admin API. Where Java or Maven is missing the
 * tests are skipped on a developer's machine and fail on CI.
 */
'use strict';

const assert = require('node:assert/strict');
const { randomUUID } = require('node:crypto');
const { after, before, describe } = require('node:test');

const { missingPrerequisites, startKeycloak } = require('../../../tools/keycloak');
const realm = require('../../../tools/keycloak/realm.json');

/** Covers a download and a first start on a slow machine. */
const START_TIMEOUT_MS = 10 * 60 * 1000;

/** As `describe`; `define` gets the server, whose members are there once the tests run. */
function describeWithKeycloak(name, define) {
  const missing = process.env.CI ? undefined : missingPrerequisites();
  const skip = missing === undefined ? false : `no Keycloak can be started: ${missing}`;
  describe(name, { skip }, () => {
    const server = {};
    before(
      async () => {
        const log = (line) => console.error(line);
        Object.assign(server, await startKeycloak({ log }));
      },
      { timeout: START_TIMEOUT_MS },
    );
    after(() => server.stop?.());
    define(server);
  });
}

/** The secret of one of the clients of the imported realm. */
function secretOf(clientId) {
  const client = realm.clients.find((candidate) => candidate.clientId === clientId);
  assert.ok(client?.secret, `realm.json has no secret for ${clientId}`);
  return client.secret;
}

/** A client of its own for one test, so that its secret can be changed without harm to others. */
async function createClient(server) {
  const clientId = `made-${randomUUID()}`;
  const created = await adminRequest(server, 'POST', 'clients', {
    clientId,
    secret: randomUUID(),
    serviceAccountsEnabled: true,
  });
  const path = `clients/${created.headers.get('location').split('/').at(-1)}/client-secret`;
  const secret = async (method) => (await (await adminRequest(server, method, path)).json()).value;
  return {
    clientId,
    secret: await secret('GET'),
    /** Makes the server forget the old secret at once; gives the new one. */
    rotateSecret: () => secret('POST'),
  };
}

async function adminRequest(server, method, path, body) {
  const response = await fetch(`${server.url}/admin/realms/${realm.realm}/${path}`, {
    method,
    headers: {
      authorization: `Bearer ${await adminToken(server)}`,
      'content-type': 'application/json',
    },
    body: JSON.stringify(body),
  });
  assert.ok(response.ok, `${method} ${path}: status ${response.status}`);
  return response;
}

/** Asked for every time: it lives for a minute only. */
async function adminToken({ admin, url }) {
  const response = await fetch(`${url}/realms/master/protocol/openid-connect/token`, {
    method: 'POST',
    body: new URLSearchParams({ grant_type: 'password', client_id: 'admin-cli', ...admin }),
  });
  assert.equal(response.status, 200, 'the administrator can log in');
  return (await response.json()).access_token;
}

/** The claims of a JWT, unverified. */
function claimsOf(token) {
  const parts = token.split('.');
  assert.equal(parts.length, 3, 'a signed JWT has three parts');
  return JSON.parse(Buffer.from(parts[1], 'base64url').toString('utf8'));
}

module.exports = { claimsOf, createClient, describeWithKeycloak, secretOf };
