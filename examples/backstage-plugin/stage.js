/**
 * Starts the parts of the example: Keycloak or the embedded endpoint, the API, and the backend in
 * its own process, in a workspace like the workspace of an app.
 */
'use strict';

const { cp } = require('node:fs/promises');
const path = require('node:path');

const { makeWorkspace } = require('../../tools/backstage-workspace.js');
const { clientSecret, startRealm } = require('../realm.js');
const { startAgentsApi } = require('./agents-api.js');
const { startBackend } = require('./backend-process.js');

const USER = 'user:default/jane';

/**
 * `realm` is the realm of a running Keycloak; without `realm`, the stage starts a Keycloak.
 * `install` installs this package in a folder's `node_modules`, by default from the checkout.
 */
async function setStage({ embedded, realm, install, log }) {
  const parts = [];
  const end = async () => {
    for (const part of parts.reverse().splice(0)) await part();
  };
  try {
    const { tokenEndpoint, jwksUrl, stop } = realm ?? (await startRealm({ embedded, log }));
    if (stop) parts.push(stop);
    const api = await startAgentsApi(jwksUrl);
    parts.push(api.close);
    const folders = ['backend', 'agents-backend'].map((name) => path.join(__dirname, name));
    const workspace = await makeWorkspace(folders, { install, log });
    parts.push(workspace.remove);
    await cp(
      path.join(__dirname, 'app-config.yaml'),
      path.join(workspace.folder, 'app-config.yaml'),
    );
    const users = await signIn();
    const backend = await startBackend(workspace.folder, 'example-backend', {
      TOKEN_ENDPOINT: tokenEndpoint,
      CLIENT_SECRET: clientSecret,
      EXPIRY_BUFFER_SECONDS: '20',
      AGENTS_API_URL: api.url,
      USER_KEY: JSON.stringify(users.key),
    });
    parts.push(backend.stop);
    log(`the backend is ready at ${backend.url}`);
    const url = `${backend.url}/api/agents/agents`;
    const userToken = await users.token(USER);
    return { url, api, user: USER, userToken, output: backend.output, end };
  } catch (error) {
    await end();
    throw error;
  }
}

/**
 * Returns the key that verifies the tokens of signed-in users, and a function that signs such
 * tokens.
 */
async function signIn() {
  const { SignJWT, exportJWK, generateKeyPair } = await import('jose');
  const { publicKey, privateKey } = await generateKeyPair('ES256');
  const key = { ...(await exportJWK(publicKey)), kid: 'users', alg: 'ES256', use: 'sig' };
  const token = (user) =>
    new SignJWT({ sub: user, ent: [user] })
      .setProtectedHeader({ alg: key.alg, kid: key.kid, typ: 'vnd.backstage.user' })
      .setAudience('backstage')
      .setIssuedAt()
      .setExpirationTime('1h')
      .sign(privateKey);
  return { key, token };
}

module.exports = { USER, setStage, signIn };
