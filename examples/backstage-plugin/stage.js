/**
 * Sets the example up: Keycloak or the embedded endpoint, the API, and the backend in a process of
 * its own, in a workspace like an app's.
 */
'use strict';

const { generateKeyPairSync, sign } = require('node:crypto');
const { cp } = require('node:fs/promises');
const path = require('node:path');

const { makeWorkspace } = require('../../__test__/backstage/setup.js');
const { startFakeTokenEndpoint } = require('../../lib/testing');
const { startAgentsApi } = require('./agents-api.js');
const { startBackend } = require('./backend-process.js');

const CLIENT = { 'kagenti-api': 's3cr+t%/:x' };
const USER = 'user:default/jane';

/** `install` puts this package into a folder's `node_modules`; without it the checkout's is used. */
async function setStage({ embedded, install, log }) {
  const parts = [];
  const end = async () => {
    for (const part of parts.reverse().splice(0)) await part();
  };
  try {
    const realm = await (embedded ? startEmbedded() : startReal(log));
    parts.push(realm.stop);
    const api = await startAgentsApi(realm.jwksUrl);
    parts.push(api.close);
    const folders = ['backend', 'agents-backend'].map((name) => path.join(__dirname, name));
    const workspace = await makeWorkspace(folders, { install, log });
    parts.push(workspace.remove);
    await cp(
      path.join(__dirname, 'app-config.yaml'),
      path.join(workspace.folder, 'app-config.yaml'),
    );
    const users = signIn();
    const backend = await startBackend(workspace.folder, 'example-backend', {
      TOKEN_ENDPOINT: realm.tokenEndpoint,
      CLIENT_SECRET: CLIENT['kagenti-api'],
      EXPIRY_BUFFER_SECONDS: '20',
      AGENTS_API_URL: api.url,
      USER_KEY: JSON.stringify(users.key),
    });
    parts.push(backend.stop);
    log(`the backend is ready at ${backend.url}`);
    const url = `${backend.url}/api/agents/agents`;
    return { url, api, user: USER, userToken: users.token(USER), output: backend.output, end };
  } catch (error) {
    await end();
    throw error;
  }
}

async function startEmbedded() {
  const roles = ['kagenti-operator'];
  const endpoint = await startFakeTokenEndpoint({ realm: 'kagenti', clients: CLIENT, roles });
  const { tokenEndpoint } = endpoint;
  return { tokenEndpoint, jwksUrl: endpoint.jwksUri, stop: () => endpoint.close() };
}

async function startReal(log) {
  // Needed here alone: it wants Java.
  const { startKeycloak } = require('../../tools/keycloak');
  const keycloak = await startKeycloak({ log });
  const { tokenEndpoint, realmUrl } = keycloak;
  const jwksUrl = `${realmUrl}/protocol/openid-connect/certs`;
  return { tokenEndpoint, jwksUrl, stop: () => keycloak.stop() };
}

/** The key that users' tokens are verified with, and what signs them in. */
function signIn() {
  const { publicKey, privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const key = { ...publicKey.export({ format: 'jwk' }), kid: 'users', alg: 'ES256', use: 'sig' };
  const encoded = (value) => Buffer.from(JSON.stringify(value)).toString('base64url');
  const token = (sub) => {
    const iat = Math.floor(Date.now() / 1000);
    const header = encoded({ alg: 'ES256', kid: key.kid, typ: 'vnd.backstage.user' });
    const payload = encoded({ sub, ent: [sub], aud: 'backstage', iat, exp: iat + 3600 });
    const signed = `${header}.${payload}`;
    const signature = sign('sha256', signed, { key: privateKey, dsaEncoding: 'ieee-p1363' });
    return `${signed}.${signature.toString('base64url')}`;
  };
  return { key, token };
}

module.exports = { setStage };
