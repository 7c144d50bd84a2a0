/**
 * Runs a Backstage backend, a member of a workspace, in its own process. The backend's
 * configuration may use `BACKEND_PORT` and the key files in `keys`.
 */
'use strict';

const { generateKeyPairSync } = require('node:crypto');
const { mkdir, writeFile } = require('node:fs/promises');
const path = require('node:path');
const { ServerProcess, freePorts } = require('../../tools/server-process.js');

const READY_WITHIN_MS = 60_000;

/** Starts the backend, and resolves when its plugins are ready. */
async function startBackend(folder, member, environment = {}) {
  await writeKeys(path.join(folder, 'keys'));
  const [port] = await freePorts(1);
  const url = `http://127.0.0.1:${port}`;
  const server = new ServerProcess(folder);
  const env = { ...process.env, ...environment, BACKEND_PORT: String(port), LOG_LEVEL: 'debug' };
  await server.start(process.execPath, [path.join('packages', member)], env);
  const stop = () => server.end('SIGTERM');
  try {
    await server.answers(`${url}/.backstage/health/v1/readiness`, READY_WITHIN_MS);
  } catch (error) {
    await stop();
    throw error;
  }
  return { url, output: () => server.output(), stop };
}

/** Writes the keys with which a backend signs its tokens, so that the backend needs no database. */
async function writeKeys(folder) {
  const { publicKey, privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  await mkdir(folder);
  const write = (name, key, type) =>
    writeFile(path.join(folder, name), key.export({ type, format: 'pem' }), { mode: 0o600 });
  await write('public.pem', publicKey, 'spki');
  await write('private.pem', privateKey, 'pkcs8');
}

module.exports = { startBackend, writeKeys };
