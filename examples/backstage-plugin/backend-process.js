/**
 * Runs a Backstage backend, a member of a workspace, in its own process. Its configuration may use
 * `BACKEND_PORT` and the key files in `keys`.
 */
'use strict';

const { spawn } = require('node:child_process');
const { generateKeyPairSync } = require('node:crypto');
const { once } = require('node:events');
const { mkdir, writeFile } = require('node:fs/promises');
const path = require('node:path');
const { setTimeout: delay } = require('node:timers/promises');
const { freePorts } = require('../../tools/keycloak/server.js');

const READY_WITHIN_MS = 60_000;
const END_WITHIN_MS = 5_000;

/** Resolves when the plugins of the backend are ready. */
async function startBackend(folder, member, environment = {}) {
  await writeKeys(path.join(folder, 'keys'));
  const [port] = await freePorts(1);
  const child = spawn(process.execPath, [path.join('packages', member)], {
    cwd: folder,
    env: { ...process.env, ...environment, BACKEND_PORT: String(port), LOG_LEVEL: 'debug' },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const ended = once(child, 'exit');
  let output = '';
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding('utf8').on('data', (text) => {
      output += text;
    });
  }
  // When this process ends, the backend must end too.
  const kill = () => child.kill('SIGKILL');
  process.once('exit', kill);
  const url = `http://127.0.0.1:${port}`;
  const stop = async () => {
    const timer = setTimeout(kill, END_WITHIN_MS);
    child.kill('SIGTERM');
    await ended;
    clearTimeout(timer);
    process.removeListener('exit', kill);
  };
  const limit = performance.now() + READY_WITHIN_MS;
  while (!(await isReady(url))) {
    if (child.exitCode !== null || performance.now() > limit) {
      if (child.exitCode === null) await stop();
      throw new Error(`the backend did not start:\n${output}`);
    }
    await delay(50);
  }
  return { url, output: () => output, stop };
}

async function isReady(url) {
  const response = await fetch(`${url}/.backstage/health/v1/readiness`).catch(() => undefined);
  await response?.arrayBuffer();
  return response?.ok === true;
}

async function writeKeys(folder) {
  const { publicKey, privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  await mkdir(folder);
  const write = (name, key, type) =>
    writeFile(path.join(folder, name), key.export({ type, format: 'pem' }), { mode: 0o600 });
  await write('public.pem', publicKey, 'spki');
  await write('private.pem', privateKey, 'pkcs8');
}

module.exports = { startBackend };
