'use strict';

// Starts real Redis, Valkey and Memcached servers on loopback: the programs of this system or, on
// x64 Linux, those of Debian 13, which this script unpacks in the user's cache folder.

const { existsSync } = require('node:fs');
const { mkdtemp } = require('node:fs/promises');
const net = require('node:net');
const os = require('node:os');
const path = require('node:path');
const { setTimeout: delay } = require('node:timers/promises');
const { canUnpackDebian, unpackDebian } = require('./debian.js');
const { cached, cacheFolder } = require('./keycloak/cache.js');
const { ServerProcess, freePorts } = require('./server-process.js');

const READY_WITHIN_MS = 10_000;
const POLL_MS = 10;
const CONNECT_WITHIN_MS = 500;
const LOADER = path.join('usr', 'lib64', 'ld-linux-x86-64.so.2');
const LIBRARIES = path.join('usr', 'lib', 'x86_64-linux-gnu');
/** The libraries that the programs of Debian 13 need. */
const NEEDED = [
  'libc6',
  'libgcc-s1',
  'libstdc++6',
  'libatomic1',
  'libssl3t64',
  'libzstd1',
  'zlib1g',
];
const NEEDED_BY_REDIS = [
  ...['libhiredis1.1.0', 'libjemalloc2', 'liblua5.1-0', 'liblzf1', 'libsystemd0', 'libcap2'],
  ...['lua-bitop', 'lua-cjson'],
];
/** The arguments with which Redis and Valkey keep nothing on disk. */
const inMemory = (port, password) => [
  ...['--port', `${port}`, '--bind', '127.0.0.1', '--save', '', '--appendonly', 'no'],
  ...(password === undefined ? [] : ['--requirepass', password]),
];

const KINDS = {
  redis: {
    program: 'redis-server',
    packages: ['redis-server', 'redis-tools', ...NEEDED_BY_REDIS],
    args: inMemory,
    probe: 'PING\r\n',
  },
  valkey: {
    program: 'valkey-server',
    packages: ['valkey-server', 'valkey-tools', ...NEEDED_BY_REDIS],
    args: inMemory,
    probe: 'PING\r\n',
  },
  memcached: {
    program: 'memcached',
    packages: ['memcached', 'libevent-2.1-7t64', 'libsasl2-2', 'libseccomp2'],
    // Memcached refuses to run as root without this argument.
    args: (port) => ['-l', '127.0.0.1', '-p', `${port}`, '-u', os.userInfo().username],
    probe: 'version\r\n',
  },
};

const unpacked = () => path.join(cacheFolder(), 'debian-13-cache-servers');

/** Returns the path of a program of this system; `undefined` if the system lacks the program. */
function installed(program) {
  const folders = [...(process.env.PATH ?? '').split(path.delimiter), '/usr/sbin'];
  return folders.map((folder) => path.join(folder, program)).find((file) => existsSync(file));
}

/**
 * Describes the servers that this machine cannot run, and how to install them; `undefined` if it
 * can run all of them.
 */
function missingServers() {
  if (existsSync(unpacked())) return undefined;
  const missing = Object.values(KINDS)
    .map(({ program }) => program)
    .filter((program) => installed(program) === undefined);
  if (missing.length === 0 || canUnpackDebian()) return undefined;
  return (
    `${missing.join(', ')} missing: install them, for instance with ` +
    '"apt-get install redis-server valkey-server memcached" or "brew install redis valkey memcached"'
  );
}

/** Returns the command that runs the program, followed by its first arguments. */
async function commandOf(program) {
  const own = installed(program);
  if (own !== undefined) return [own];
  if (!canUnpackDebian()) throw new Error(missingServers());
  const packages = new Set([...NEEDED, ...Object.values(KINDS).flatMap((kind) => kind.packages)]);
  const folder = await cached(unpacked(), (temporary) => unpackDebian([...packages], temporary));
  const libraries = path.join(folder, LIBRARIES);
  const file = path.join(folder, 'usr', 'bin', program);
  return [path.join(folder, LOADER), '--library-path', libraries, file];
}

/**
 * Starts a server on `port`, by default a free port.
 *
 * @param {'redis' | 'valkey' | 'memcached'} kind
 * @param {{ password?: string, port?: number }} [settings] the password of Redis or Valkey
 */
async function startCacheServer(kind, settings = {}) {
  const { program, args, probe } = KINDS[kind];
  const [port] = settings.port === undefined ? await freePorts(1) : [settings.port];
  const folder = await mkdtemp(path.join(os.tmpdir(), 'keycloak-token-manager-cache-'));
  const server = new ServerProcess(folder);
  const [command, ...first] = await commandOf(program);
  const start = async () => {
    await server.start(command, [...first, ...args(port, settings.password)], process.env);
    const deadline = performance.now() + READY_WITHIN_MS;
    while ((await ask(port, probe)) === undefined) {
      if (performance.now() > deadline) throw new Error(`${program} fails:\n${server.output()}`);
      await delay(POLL_MS);
    }
  };
  await start();
  return {
    kind,
    port,
    /** Sends a line of the protocol, and returns the first part of the answer. */
    ask: (line) => ask(port, line),
    freeze: () => server.signal('SIGSTOP'),
    thaw: () => server.signal('SIGCONT'),
    kill: () => server.end('SIGKILL'),
    start,
    stop: () => server.remove(),
  };
}

/** Returns `undefined` if the server does not answer. */
function ask(port, text) {
  return new Promise((resolve) => {
    const socket = net.connect({ host: '127.0.0.1', port });
    const end = (answer) => {
      socket.destroy();
      resolve(answer);
    };
    socket.setTimeout(CONNECT_WITHIN_MS, () => end(undefined));
    socket.once('connect', () => socket.write(text));
    socket.once('data', (data) => end(`${data}`));
    for (const event of ['error', 'close']) socket.once(event, () => end(undefined));
  });
}

module.exports = { missingServers, startCacheServer };
