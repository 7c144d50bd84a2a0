/**
 * A real Keycloak for a file's tests, and its admin API. `tools/test-keycloak.js` starts one server
 * for all files; a file that runs alone starts its own. If Java or Maven is missing, a file skips
 * its tests on a developer's machine and fails them on CI.
 */
'use strict';

const assert = require('node:assert/strict');
const { randomUUID } = require('node:crypto');
const { after, before, describe } = require('node:test');

const { KeycloakTokenManager } = require('../../..');
const { missingPrerequisites, startKeycloak } = require('../../../tools/keycloak');
const { clients: CLIENTS, realm: REALM } = require('../../../tools/keycloak/realm.json');

/** Long enough for a download and a first start on a slow machine. */
const START_TIMEOUT_MS = 10 * 60 * 1000;
const LOGIN_KEPT_MS = 30_000;
/** The feature with which secrets can expire; releases from 26.8 on turn it on by default. */
const OPTIONS = ['--features=client-secret-rotation'];
/** The variable with the server that another process started for these tests, as JSON. */
const SHARED = 'KEYCLOAK_SHARED';

const log = (line) => console.error(line);

/** Starts a server for the test files that run with `env`. */
async function shareServer() {
  const server = await startKeycloak({ options: OPTIONS, log });
  return { env: { [SHARED]: JSON.stringify(server) }, stop: () => server.stop() };
}

/**
 * Calls `describe`. `define` gets the server, whose properties are set when the tests run. `own` is
 * the settings of `startKeycloak`, or a function that returns them. With `own`, the test file gets
 * a separate server, which `server.process` can stop and start.
 */
function describeWithKeycloak(name, { own, ...suite }, define) {
  const shared = own === undefined ? process.env[SHARED] : undefined;
  const missing = shared || process.env.CI ? undefined : missingPrerequisites();
  const skip = missing === undefined ? false : `no Keycloak can be started: ${missing}`;
  describe(name, { ...suite, skip: skip || suite.skip }, () => {
    const server = {};
    before(
      async () => {
        if (!shared) {
          const settings = typeof own === 'function' ? await own() : own;
          server.process = await startKeycloak({ options: OPTIONS, log, ...settings });
        }
        Object.assign(server, server.process ?? JSON.parse(shared));
      },
      { timeout: START_TIMEOUT_MS },
    );
    after(() => server.process?.stop());
    define(server);
  });
}

/** Makes a manager, which the test closes at its end. */
function manage(t, options) {
  const manager = new KeycloakTokenManager(options);
  t.after(() => manager.close());
  return manager;
}

/** The secret of a client in the imported realm. */
function secretOf(clientId) {
  const client = CLIENTS.find((candidate) => candidate.clientId === clientId);
  assert.ok(client?.secret, `realm.json has no secret for ${clientId}`);
  return client.secret;
}

/** Makes a separate realm for one test. */
async function createRealm(t, server, representation = {}) {
  const name = `made-${randomUUID()}`;
  await adminRequest(server, 'POST', '/realms', { realm: name, enabled: true, ...representation });
  t.after(() => adminRequest(server, 'DELETE', `/realms/${name}`));
  const realmUrl = `${server.url}/realms/${name}`;
  return {
    name,
    realmUrl,
    tokenEndpoint: `${realmUrl}/protocol/openid-connect/token`,
    /** Calls this realm's admin API; returns the answer's JSON, if any. */
    admin: async (method, path, body) => {
      const response = await adminRequest(server, method, `/realms/${name}${path}`, body);
      const text = await response.text();
      return text === '' ? undefined : JSON.parse(text);
    },
  };
}

/**
 * Makes a separate client for one test, which the test can change without affecting other tests.
 *
 * @param {object} [members] Members of the client's representation, and `realm`, the name of its
 *   realm.
 */
async function createClient(server, { realm = REALM, ...members } = {}) {
  const clients = `/realms/${realm}/clients`;
  const given = { clientId: `made-${randomUUID()}`, secret: randomUUID(), ...members };
  const all = { serviceAccountsEnabled: true, ...given };
  const created = await adminRequest(server, 'POST', clients, all);
  const path = `${clients}/${created.headers.get('location').split('/').at(-1)}`;
  return {
    clientId: given.clientId,
    secret: given.secret,
    /** Makes a new secret and returns it; the server immediately forgets the old one. */
    rotateSecret: async () => {
      const response = await adminRequest(server, 'POST', `${path}/client-secret`);
      return (await response.json()).value;
    },
    /** Changes members of the client's representation. */
    change: async (changes) => {
      const now = await (await adminRequest(server, 'GET', path)).json();
      await adminRequest(server, 'PUT', path, { ...now, ...changes });
    },
  };
}

async function adminRequest(server, method, path, body) {
  const response = await fetch(`${server.url}/admin${path}`, {
    method,
    headers: {
      authorization: `Bearer ${await adminToken(server)}`,
      'content-type': 'application/json',
    },
    body: JSON.stringify(body),
  });
  if (!response.ok) {
    assert.fail(`${method} ${path}: status ${response.status} ${await response.text()}`);
  }
  return response;
}

/** Returns an admin token, which lives for a minute. Later calls reuse it: a login is slow. */
function adminToken(server) {
  if (server.login === undefined) {
    server.login = logIn(server);
    setTimeout(() => delete server.login, LOGIN_KEPT_MS).unref();
  }
  return server.login;
}

async function logIn({ admin, url }) {
  const response = await fetch(`${url}/realms/master/protocol/openid-connect/token`, {
    method: 'POST',
    body: new URLSearchParams({ grant_type: 'password', client_id: 'admin-cli', ...admin }),
  });
  assert.equal(response.status, 200, 'the administrator can log in');
  return (await response.json()).access_token;
}

/** The claims of a JWT, without verification. */
function claimsOf(token) {
  const parts = token.split('.');
  assert.equal(parts.length, 3, 'a signed JWT has three parts');
  return JSON.parse(Buffer.from(parts[1], 'base64url').toString('utf8'));
}

module.exports = {
  claimsOf,
  createClient,
  createRealm,
  describeWithKeycloak,
  manage,
  secretOf,
  shareServer,
};
