'use strict';

// An empty project in a temporary folder, the package managers, and programs to run in it.

const assert = require('node:assert/strict');
const { execFile } = require('node:child_process');
const fs = require('node:fs');
const os = require('node:os');
const path = require('node:path');
const { promisify } = require('node:util');
const { pinnedPackages } = require('../../../tools/pinned-packages.js');
const { ROOT } = require('./dist.js');

/** A hanging test must fail. */
const LIMIT_MS = 120_000;
const SAID_AT_MOST = 4_000;

const PROGRAM = `
  const { token } = await manager.getAccessToken();
  const refused = await new KeycloakTokenManager({ ...options, clientSecret: 'wrong' })
    .getToken()
    .then(() => 'none', (error) => error);
  manager.close();
  await endpoint.close();
  console.log(JSON.stringify({
    hasToken: token.split('.').length === 3,
    code: refused.code,
    isError: refused instanceof KeycloakTokenError,
    node: process.version,
  }));`;
const OPTIONS = `
  const endpoint = await startFakeTokenEndpoint();
  const options = {
    tokenEndpoint: endpoint.tokenEndpoint, clientId: 'test-client', clientSecret: 'test-secret',
  };
  const manager = new KeycloakTokenManager(options);`;

/** Programs that print whether they got a token, and the code of a refusal. */
const programs = {
  'commonjs.cjs': `
const { KeycloakTokenError, KeycloakTokenManager } = require('keycloak-token-manager');
const { startFakeTokenEndpoint } = require('keycloak-token-manager/testing');
(async () => {${OPTIONS}${PROGRAM}
})();
`,
  'esm.mjs': `
import { KeycloakTokenError, KeycloakTokenManager } from 'keycloak-token-manager';
import { startFakeTokenEndpoint } from 'keycloak-token-manager/testing';
${OPTIONS}${PROGRAM}
`,
};

/** Checks a program's output, and optionally Node's major version. */
function checkOutput(output, major) {
  const { node, ...others } = JSON.parse(output);
  assert.deepEqual(others, { hasToken: true, code: 'ERR_KEYCLOAK_OAUTH', isError: true });
  if (major !== undefined) assert.equal(node.split('.')[0], `v${major}`);
}

/** The environment without the variables that npm, Yarn and Node read. */
function cleanEnvironment() {
  return Object.fromEntries(
    Object.entries(process.env).filter(
      ([name]) => !/^(npm_|yarn_|NODE_|INIT_CWD$|BERRY_)/i.test(name),
    ),
  );
}

/** Makes a project, which the test removes at its end. */
function makeProject(t, files = programs) {
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'keycloak-token-manager-project-'));
  t.after(() => fs.rmSync(folder, { recursive: true, force: true, maxRetries: 3 }));
  const write = (name, content) => {
    fs.mkdirSync(path.dirname(path.join(folder, name)), { recursive: true });
    fs.writeFileSync(path.join(folder, name), content);
  };
  write('package.json', '{ "name": "project", "private": true }');
  for (const [name, content] of Object.entries(files)) write(name, content);
  return {
    files,
    folder,
    write,
    /** Runs a program to its end. Resolves or rejects with its output. */
    async run(program, args, { env = {} } = {}) {
      try {
        const { stdout } = await promisify(execFile)(program, args, {
          cwd: folder,
          timeout: LIMIT_MS,
          maxBuffer: 2 ** 26,
          env: { ...cleanEnvironment(), ...env },
        });
        return stdout;
      } catch (error) {
        const said = [error.message, error.stdout, error.stderr].filter(Boolean).join('\n');
        throw new Error(said.slice(-SAID_AT_MOST), { cause: error.code });
      }
    },
  };
}

/** The npm that belongs to the Node that runs the tests; it runs on every supported Node. */
function npmProgram() {
  const own = path.join(path.dirname(process.execPath), '..', 'lib', 'node_modules', 'npm');
  const file = process.env.npm_execpath ?? path.join(own, 'bin', 'npm-cli.js');
  if (!fs.existsSync(file)) throw new Error(`no npm at ${file}`);
  return file;
}

const bundlers = () =>
  pinnedPackages('bundlers', path.join(ROOT, '__test__/package/dependencies/bundlers'));
const tools = () => pinnedPackages('package-tools', path.join(ROOT, 'tools/package/dependencies'));

const berry = (nodeLinker) => ({
  settings: (registry) => ({
    '.yarnrc.yml': JSON.stringify({
      nodeLinker,
      npmRegistryServer: registry,
      unsafeHttpWhitelist: ['127.0.0.1'],
      enableTelemetry: false,
      enableGlobalCache: false,
      enableImmutableInstalls: false,
      cacheFolder: './.cache',
      globalFolder: './.global',
      npmMinimalAgeGate: 0,
      pnpEnableEsmLoader: true,
    }),
    'yarn.lock': '',
  }),
  script: async () => path.join(await tools(), '@yarnpkg/cli-dist/bin/yarn.js'),
});

/**
 * The package managers: their settings files, their script, the arguments that install a package,
 * and whether they also start a project's programs.
 */
const managers = {
  npm: {
    settings: (registry) => ({
      '.npmrc': `registry=${registry}\ncache=.cache\naudit=false\nfund=false\n`,
    }),
    script: npmProgram,
    add: ['install'],
  },
  pnpm: {
    settings: (registry) => ({
      '.npmrc': `registry=${registry}\nstore-dir=.store\ncache-dir=.cache\n`,
    }),
    script: async () => path.join(await bundlers(), 'pnpm/bin/pnpm.cjs'),
  },
  'yarn 1': {
    settings: (registry) => ({ '.yarnrc': `registry "${registry}"\ncache-folder ".cache"\n` }),
    script: async () => path.join(await tools(), 'yarn/bin/yarn.js'),
    add: ['add', '--non-interactive'],
  },
  'yarn 4': berry('node-modules'),
  "yarn 4, Plug'n'Play": { ...berry('pnp'), startsPrograms: true },
};

/**
 * Prepares a project for a package manager. Returns functions that run the package manager, install
 * the package and start a program.
 */
async function prepare(name, project, registry, node = process.execPath) {
  const { settings, script, add = ['add'], startsPrograms } = managers[name];
  for (const [file, content] of Object.entries(settings(registry))) project.write(file, content);
  const program = await script();
  const run = (...args) => project.run(node, [program, ...args]);
  return {
    run,
    install: (...options) => run(...add, 'keycloak-token-manager', ...options),
    start: (file) => (startsPrograms ? run('node', file) : project.run(node, [file])),
  };
}

module.exports = {
  LIMIT_MS,
  checkOutput,
  makeProject,
  managers,
  npmProgram,
  prepare,
  programs,
  tools,
};
