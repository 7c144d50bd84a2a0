/**
 * Runs one Keycloak on free loopback ports. Its home remains until `stop()`, so that you can terminate
 * or kill the server and start it again with the same data.
 */
'use strict';

const { randomBytes } = require('node:crypto');
const path = require('node:path');

const { ServerProcess, freePorts } = require('../server-process.js');
const { distribution } = require('./distribution');
const { buildFolder, keepBuild, makeHome } = require('./home');
const { javaVersion, missingPrerequisites } = require('./prerequisites');
const { releaseOf } = require('./releases');

/** The environment variable selects another release for all tests. */
const VERSION = process.env.KEYCLOAK_VERSION || '26.7.5';
const REALM = 'kagenti';
const HEALTH = '--health-enabled=true';
/** Options that may change from start to start, because they do not affect the build. */
const OF_ONE_START = /^--https-(port|certificate)/;
/** The optimising compiler does not pay off for a server that lives only during tests. */
const JAVA_OPTIONS = '-XX:TieredStopAtLevel=1';
/** The only variables that the server inherits, so that other settings do not affect it. */
const ENVIRONMENT = ['PATH', 'HOME', 'LANG', 'LC_ALL', 'TMPDIR', 'JAVA', 'JAVA_HOME'];
const READY_WITHIN_MS = 180_000;
const PORT_ATTEMPTS = 3;

/**
 * Starts a Keycloak with the realms beside this file.
 *
 * @param {object} [options]
 * @param {string} [options.version] 22.0.0 or newer. Default: `KEYCLOAK_VERSION`, or a pinned
 *   version.
 * @param {'start-dev' | 'start'} [options.mode] `start` is the production mode, over plain http.
 * @param {string[]} [options.options] More arguments, each of the form `--name=value`. With an
 *   https port, `--http-management-scheme=http` keeps `ready()` working.
 * @param {boolean} [options.awaitReady] With `false`, the promise resolves as soon as the process
 *   has started.
 * @param {(line: string) => void} [options.log] Receives a message before each step that takes a
 *   long time.
 */
async function startKeycloak({
  version = VERSION,
  mode = 'start-dev',
  options = [],
  awaitReady = true,
  log = () => {},
} = {}) {
  const release = releaseOf(version);
  const modes = Object.keys(release.modes);
  if (!modes.includes(mode))
    throw new Error(`unknown mode "${mode}": expected ${modes.join(' or ')}`);
  const missing = missingPrerequisites(version);
  if (missing !== undefined) throw new Error(`cannot start Keycloak: ${missing}`);
  const unpacked = await distribution(version, log);
  const choice = [...release.modes[mode], HEALTH, ...options];
  const built = choice.filter((option) => !OF_ONE_START.test(option));
  const build = buildFolder(version, javaVersion(), [mode, ...built]);
  for (let attempt = 1; ; attempt += 1) {
    const home = await makeHome(unpacked, build);
    const server = new Server({ release, home, build, command: [mode, ...choice] });
    try {
      await server.choosePorts(pathOf(options));
      log(`starting Keycloak ${version} at ${server.url}`);
      await server.start({ awaitReady });
      return server;
    } catch (error) {
      await server.stop();
      // Another process may take a port after `choosePorts`, before the server listens on it.
      const portTaken = /already in use|address in use/i.test(error.message);
      if (!portTaken || attempt === PORT_ATTEMPTS) throw error;
    }
  }
}

/**
 * A running server. The methods that start or end the process resolve when the process has started
 * or ended.
 */
class Server {
  #release;
  #home;
  #build;
  #command;
  #process;

  constructor({ release, home, build, command }) {
    this.#release = release;
    this.#home = home;
    this.#build = build;
    this.#command = command;
    this.#process = new ServerProcess(home);
    this.admin = { username: 'admin', password: randomBytes(12).toString('hex') };
  }

  async choosePorts(below) {
    const { hasManagementPort } = this.#release;
    const [port, managementPort = port] = await freePorts(hasManagementPort ? 2 : 1);
    this.url = `http://127.0.0.1:${port}${below}`;
    this.managementUrl = `http://127.0.0.1:${managementPort}${below}`;
    this.realmUrl = `${this.url}/realms/${REALM}`;
    this.tokenEndpoint = `${this.realmUrl}/protocol/openid-connect/token`;
    this.#command.push('--import-realm', '--http-host=127.0.0.1', `--http-port=${port}`);
    if (hasManagementPort) this.#command.push(`--http-management-port=${managementPort}`);
  }

  /**
   * Starts the server. After `terminate()` or `kill()`, it has the same data and ports as before.
   */
  async start({ awaitReady = true } = {}) {
    const script = path.join(this.#home, 'bin', 'kc.sh');
    const env = environment(this.#release, this.admin);
    await this.#process.start(this.#release.shell, [script, ...this.#command], env);
    if (awaitReady) await this.ready();
  }

  /** Resolves when the token endpoint is ready; rejects if the process ends before that. */
  async ready() {
    for (const url of [
      `${this.managementUrl}/health/ready`,
      `${this.realmUrl}/.well-known/openid-configuration`,
    ]) {
      await this.#process.answers(url, READY_WITHIN_MS);
    }
    await keepBuild(this.#home, this.#build);
  }

  /** Shuts the server down gracefully. */
  terminate() {
    return this.#process.end('SIGTERM');
  }

  /** Kills the server, to simulate a crash. */
  kill() {
    return this.#process.end('SIGKILL');
  }

  /** Suspends the process: the kernel accepts connections, but the server does not answer. */
  pause() {
    this.#process.signal('SIGSTOP');
  }

  resume() {
    this.#process.signal('SIGCONT');
  }

  /** Stops the server and removes its home. */
  stop() {
    return this.#process.remove();
  }
}

/** Returns the base path of the server on both of its ports. */
function pathOf(options) {
  const name = '--http-relative-path=';
  return options.find((option) => option.startsWith(name))?.slice(name.length) ?? '';
}

function environment({ adminVariables: [username, password] }, admin) {
  const env = {
    JAVA_OPTS_APPEND: JAVA_OPTIONS,
    [username]: admin.username,
    [password]: admin.password,
  };
  for (const name of ENVIRONMENT) {
    if (process.env[name] !== undefined) env[name] = process.env[name];
  }
  return env;
}

module.exports = { startKeycloak, VERSION };
