/**
 * Starts the parts of the example: Keycloak or the embedded endpoint, the two APIs, and the
 * replicas of the backend. Each replica has its own process, and a workspace like an app's. Several
 * replicas share their tokens through a Valkey server.
 */
'use strict';

const { cp, writeFile } = require('node:fs/promises');
const path = require('node:path');

const { makeWorkspace } = require('../../tools/backstage-workspace.js');
const { startCacheServer } = require('../../tools/cache-servers.js');
const { clientSecret, revokeToken, startRealm, tokenOfUser } = require('../realm.js');
const { startAgentsApi, startRunsApi } = require('./apis.js');
const { startBackend } = require('./backend-process.js');

const USER = 'user:default/jane';
const MEMBERS = ['backend', 'agents-backend'].map((name) => path.join(__dirname, name));

/**
 * `realm` is the realm of a running Keycloak; without `realm`, the stage starts its own. `install`
 * installs this package in a folder's `node_modules`, by default from the checkout.
 */
async function setStage({ embedded, realm, install, log, replicas = 1 }) {
  const parts = [];
  const end = async () => {
    for (const part of parts.reverse().splice(0)) await part();
  };
  try {
    const { tokenEndpoint, jwksUrl, endpoint, stop } =
      realm ?? (await startRealm({ embedded, log }));
    if (stop) parts.push(stop);
    const api = await startAgentsApi(jwksUrl);
    parts.push(api.close);
    const runsApi = await startRunsApi(jwksUrl);
    parts.push(runsApi.close);
    const users = await signIn();
    const environment = {
      TOKEN_ENDPOINT: tokenEndpoint,
      CLIENT_SECRET: clientSecret,
      EXPIRY_BUFFER_SECONDS: '20',
      AGENTS_API_URL: api.url,
      RUNS_API_URL: runsApi.url,
      USER_KEY: JSON.stringify(users.key),
    };
    let cache;
    if (replicas > 1) {
      cache = await startCacheServer('valkey');
      parts.push(cache.stop);
    }
    const start = async () => {
      const workspace = await makeWorkspace(MEMBERS, { install, log });
      parts.push(workspace.remove);
      await writeConfiguration(workspace.folder, cache);
      const backend = await startBackend(workspace.folder, 'example-backend', environment);
      parts.push(backend.stop);
      log(`a backend is ready at ${backend.url}`);
      return backend;
    };
    const backends = await Promise.all(Array.from({ length: replicas }, start));
    const urls = backends.map((backend) => `${backend.url}/api/agents/agents`);
    const userToken = await users.token(USER);
    const keycloakToken = await tokenOfUser({ tokenEndpoint, endpoint });
    const endSession = () => revokeToken(tokenEndpoint, keycloakToken);
    const { output } = backends[0];
    return {
      url: urls[0],
      urls,
      runsUrl: new URL('runs', urls[0]).href,
      signOutUrl: new URL('sign-out', urls[0]).href,
      api,
      runsApi,
      user: USER,
      userToken,
      keycloakToken,
      endSession,
      output,
      end,
    };
  } catch (error) {
    await end();
    throw error;
  }
}

/** Writes a backend's configuration, with a Valkey cache if there are several replicas. */
async function writeConfiguration(folder, cache) {
  await cp(path.join(__dirname, 'app-config.yaml'), path.join(folder, 'app-config.yaml'));
  if (cache === undefined) return;
  const connection = `redis://127.0.0.1:${cache.port}`;
  const local = {
    backend: { cache: { store: 'valkey', connection } },
    boost: {
      kagenti: { auth: { sharedCache: true, storeKey: 'a-key-of-all-replicas-in-example' } },
    },
  };
  // Backstage reads this file after `app-config.yaml`. JSON is also valid YAML.
  await writeFile(path.join(folder, 'app-config.local.yaml'), JSON.stringify(local));
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
