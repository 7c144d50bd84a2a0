/**
 * Runs one Keycloak on free loopback ports and waits until it answers. The server leads its own
 * process group, since `kc.sh` stays as the parent of Java and passes on only some signals.
 * A guard process ends the group when this process does, even by a KILL.
 */
'use strict';

const { spawn } = require('node:child_process');
const { randomBytes } = require('node:crypto');
const { once } = require('node:events');
const { open, readFile } = require('node:fs/promises');
const { createServer } = require('node:net');
const path = require('node:path');
const { setTimeout: delay } = require('node:timers/promises');

const { distribution } = require('./distribution');
const { buildFolder, keepBuild, makeHome } = require('./home');
const { javaVersion, missingPrerequisites } = require('./prerequisites');

const VERSION = '26.7.5';
const OLDEST_VERSION = 26;
const REALM = 'kagenti';
const BUILD_OPTIONS = ['--health-enabled=true'];
/** A server that lives for a test run gains nothing from the optimising compiler. */
const JAVA_OPTIONS = '-XX:TieredStopAtLevel=1';
/** Passed on to the server; nothing else is, so that no setting of the caller's changes it. */
const ENVIRONMENT = ['PATH', 'HOME', 'LANG', 'LC_ALL', 'TMPDIR', 'JAVA', 'JAVA_HOME'];
const READY_WITHIN_MS = 180_000;
const POLL_MS = 100;
const PORT_ATTEMPTS = 3;
const LOG_TAIL_LINES = 30;

/**
 * Starts a Keycloak with the realms beside this file and resolves when its token endpoint is ready.
 *
 * @param {{ version?: string, log?: (line: string) => void }} [options] `version`: 26 or newer;
 *   `log` is told of what takes long.
 */
async function startKeycloak({ version = VERSION, log = () => {} } = {}) {
  if (!(Number.parseInt(version, 10) >= OLDEST_VERSION)) {
    throw new Error(`Keycloak ${version} cannot be started here: ${OLDEST_VERSION} or newer only`);
  }
  const missing = missingPrerequisites(version);
  if (missing !== undefined) throw new Error(`Keycloak cannot be started: ${missing}`);
  const unpacked = await distribution(version, log);
  const build = buildFolder(version, javaVersion(), BUILD_OPTIONS);
  for (let attempt = 1; ; attempt += 1) {
    const server = await launch(unpacked, build);
    try {
      log(`starting Keycloak ${version} at ${server.url}`);
      await ready(server);
      await keepBuild(server.home, build);
      return handle(server);
    } catch (error) {
      await server.stop();
      // Somebody else may take a port between our look and the server's.
      const portTaken = /already in use|address in use/i.test(error.message);
      if (!portTaken || attempt === PORT_ATTEMPTS) throw error;
    }
  }
}

async function launch(unpacked, build) {
  const home = await makeHome(unpacked, build);
  const [port, managementPort] = await freePorts(2);
  const admin = { username: 'admin', password: randomBytes(12).toString('hex') };
  const logFile = path.join(home, 'keycloak.log');
  const output = await open(logFile, 'w');
  const args = [
    path.join(home, 'bin', 'kc.sh'),
    'start-dev',
    '--import-realm',
    '--http-host=127.0.0.1',
    `--http-port=${port}`,
    `--http-management-port=${managementPort}`,
    ...BUILD_OPTIONS,
  ];
  const child = spawn('sh', args, {
    cwd: home,
    detached: true,
    env: environment(admin),
    stdio: ['ignore', output.fd, output.fd],
  });
  await once(child, 'spawn');
  await output.close();
  const guard = spawn('sh', [path.join(__dirname, 'guard.sh'), String(child.pid), home], {
    detached: true,
    stdio: ['pipe', 'ignore', 'ignore'],
  });
  await once(guard, 'spawn');
  // Whoever forgets to stop the server can still end, and the guard then stops it.
  for (const held of [child, guard, guard.stdin]) held.unref();
  return {
    home,
    logFile,
    child,
    admin,
    url: `http://127.0.0.1:${port}`,
    managementUrl: `http://127.0.0.1:${managementPort}`,
    stop: () => stopThrough(guard),
  };
}

function environment(admin) {
  const env = {
    JAVA_OPTS_APPEND: JAVA_OPTIONS,
    KC_BOOTSTRAP_ADMIN_USERNAME: admin.username,
    KC_BOOTSTRAP_ADMIN_PASSWORD: admin.password,
  };
  for (const name of ENVIRONMENT) {
    if (process.env[name] !== undefined) env[name] = process.env[name];
  }
  return env;
}

async function stopThrough(guard) {
  if (guard.exitCode !== null || guard.signalCode !== null) return;
  guard.ref();
  const ended = once(guard, 'exit');
  guard.stdin.end();
  await ended;
}

/** All are held open until all are known, lest one be given twice. */
async function freePorts(count) {
  const servers = Array.from({ length: count }, () => createServer().listen(0, '127.0.0.1'));
  await Promise.all(servers.map((server) => once(server, 'listening')));
  const ports = servers.map((server) => server.address().port);
  await Promise.all(servers.map((server) => once(server.close(), 'close')));
  return ports;
}

async function ready(server) {
  const deadline = Date.now() + READY_WITHIN_MS;
  await answers(`${server.managementUrl}/health/ready`, server, deadline);
  const discovery = `${server.url}/realms/${REALM}/.well-known/openid-configuration`;
  await answers(discovery, server, deadline);
}

async function answers(url, server, deadline) {
  while (!(await isOk(url))) {
    const { exitCode, signalCode } = server.child;
    if (exitCode !== null || signalCode !== null) {
      const how = signalCode ?? `code ${exitCode}`;
      throw new Error(`Keycloak ended (${how}) before it was ready:\n${await logTail(server)}`);
    }
    if (Date.now() > deadline) {
      const limit = `${READY_WITHIN_MS / 1000} s`;
      throw new Error(`${url} was not ready within ${limit}:\n${await logTail(server)}`);
    }
    await delay(POLL_MS);
  }
}

async function isOk(url) {
  try {
    const response = await fetch(url, { signal: AbortSignal.timeout(10_000) });
    await response.body?.cancel();
    return response.ok;
  } catch {
    return false;
  }
}

async function logTail({ logFile }) {
  const text = await readFile(logFile, 'utf8');
  return text.trimEnd().split('\n').slice(-LOG_TAIL_LINES).join('\n');
}

function handle({ admin, child, managementUrl, stop, url }) {
  const realmUrl = `${url}/realms/${REALM}`;
  return {
    url,
    realmUrl,
    tokenEndpoint: `${realmUrl}/protocol/openid-connect/token`,
    managementUrl,
    admin,
    /** The leader of the server's process group: signal `-pid`. */
    pid: child.pid,
    stop,
  };
}

module.exports = { startKeycloak, VERSION };
