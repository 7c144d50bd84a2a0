'use strict';

// The whole check, as stages: `npm test` runs them all, `npm test -- <stage> …` the named ones.
// `clippy` stands for all stages whose names start with `clippy-`. A stage that fails does not keep
// the next one from running, unless it installs or builds: without those there is nothing to test.

const fs = require('node:fs');
const os = require('node:os');
const path = require('node:path');
const { cargoDeny } = require('./cargo-deny.js');
const { checkWorkflows } = require('./check-workflows.js');
const { pinnedProgram } = require('./pinned-program.js');
const { root, run } = require('./run.js');
const { build, install } = require('./setup.js');
const { Unavailable, loom, miri, threadSanitizer } = require('./sanitizers.js');
const { withSharedKeycloak } = require('./test-keycloak.js');

const onCi = Boolean(process.env.CI);
// Programs cannot be linked with the addon, whose symbols Node provides.
const core = ['--locked', '--workspace', '--no-default-features'];

// Biome colours what it writes into a file as well.
const colours = process.stdout.isTTY ? [] : ['--colors=off'];

/** Thrown by a stage that cannot run here. */
class Skipped extends Error {}

const cargo = (...args) => run('cargo', args);
const clippy = (...args) => cargo('clippy', ...args, '--', '-D', 'warnings');
const npx = (script, ...args) =>
  run(process.execPath, [path.join('node_modules', script), ...args]);

/** Files below `folder` whose names end in `end`. Node 20 does not expand patterns itself. */
function files(folder, end, except = () => false) {
  const found = fs
    .readdirSync(path.join(root, folder), { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile() && entry.name.endsWith(end))
    .map((entry) => path.relative(root, path.join(entry.parentPath ?? entry.path, entry.name)))
    .filter((file) => !except(file))
    .sort();
  if (found.length === 0) throw new Error(`no ${end} file in ${folder}`);
  return found;
}

/** The output of the reporter. */
function readReport(file) {
  const text = fs.existsSync(file) ? fs.readFileSync(file, 'utf8') : '';
  const lines = text.split('\n').filter(Boolean).map(JSON.parse);
  return {
    passed: lines.find((line) => line.passed !== undefined)?.passed ?? 0,
    failed: lines.filter((line) => line.failed).map(({ name }) => name),
    leftOut: lines
      .filter((line) => line.leftOut)
      .map(({ name, leftOut }) => `${name} (${leftOut})`),
  };
}

/** Runs test files and says how many tests passed and which were left out. */
async function nodeTest(testFiles, { mayLeaveOut = true, env, limitSeconds, flags = [] } = {}) {
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'keycloak-token-manager-'));
  const file = path.join(folder, 'report');
  try {
    const args = [
      ...['--expose-gc', '--test', '--test-reporter=spec', '--test-reporter-destination=stdout'],
      `--test-reporter=${path.join(__dirname, 'test-reporter.js')}`,
      `--test-reporter-destination=${file}`,
      ...flags,
      ...testFiles,
    ];
    const outcome = await run(process.execPath, args, { env, limitSeconds }).catch((e) => e);
    const { passed, failed, leftOut } = readReport(file);
    const names = (list) => list.join('; ');
    if (failed.length > 0) throw new Error(`${failed.length} failed: ${names(failed)}`);
    if (outcome instanceof Error) throw outcome;
    if (passed === 0 && leftOut.length > 0) throw new Skipped(`left out: ${names(leftOut)}`);
    if (passed === 0) throw new Error('no test ran');
    if (onCi && !mayLeaveOut && leftOut.length > 0) {
      throw new Error(`left out: ${names(leftOut)}`);
    }
    return `${passed} tests${leftOut.length > 0 ? `; left out: ${names(leftOut)}` : ''}`;
  } finally {
    fs.rmSync(folder, { recursive: true, force: true });
  }
}

/** The rules for requesting tokens must build without Node and without an HTTP library. */
async function graph() {
  const manager = ['--locked', '--package', 'keycloak-manager'];
  await cargo('check', ...manager);
  const tree = await run(
    'cargo',
    ['tree', ...manager, '--edges', 'normal,build', '--prefix', 'none', '--format', '{p}'],
    { capture: true },
  );
  const names = new Set(tree.split('\n').map((line) => line.split(' ')[0]));
  if (!names.has('tokio')) throw new Error('the output of cargo tree was not understood');
  const intruders = ['napi', 'napi-derive', 'napi-sys', 'rustls', 'hyper', 'reqwest'];
  const found = intruders.filter((name) => names.has(name));
  if (found.length > 0) throw new Error(`keycloak-manager depends on ${found}`);
  return `${names.size} packages`;
}

async function deny() {
  let program;
  try {
    program = await cargoDeny();
  } catch (error) {
    throw new Skipped(`cargo-deny is not available: ${error.message}`);
  }
  await run(program, ['--all-features', '--locked', 'check', 'bans', 'licenses', 'sources']);
}

async function workflows() {
  const missing = await checkWorkflows();
  if (missing.length > 0) throw new Skipped(missing.join('; '));
}

/** Builds the published packages from the current sources. */
async function packages() {
  try {
    await pinnedProgram('cargo-zigbuild');
  } catch (error) {
    throw new Skipped(`cargo-zigbuild is not available: ${error.message}`);
  }
  await run(process.execPath, ['tools/package'], { limitSeconds: 2400 });
}

function packageTests() {
  const { name, version } = require('../package.json');
  if (!fs.existsSync(path.join(root, 'dist', `${name}-${version}.tgz`))) {
    throw new Skipped('no packages in dist: npm run package makes them');
  }
  return nodeTest(files(path.join('__test__', 'package'), '.package.js'));
}

const realKeycloak = path.join('__test__', 'real-keycloak');
const leaks = path.join('__test__', 'leaks');
const soak = path.join('__test__', 'soak');
/** Test files that have stages of their own. */
const isApart = (file) =>
  [realKeycloak, leaks, soak].some((folder) => file.startsWith(folder + path.sep));

const stages = {
  install,
  build,
  async rustfmt() {
    await cargo('fmt', '--all', '--check');
    for (const folder of ['fuzz', 'bench/naive']) {
      await cargo('fmt', '--manifest-path', `${folder}/Cargo.toml`, '--check');
    }
  },
  'clippy-core': () => clippy('--all-targets', ...core),
  'clippy-node': () => clippy('--lib', '--locked'),
  graph,
  'cargo-deny': deny,
  workflows,
  biome: () => npx('@biomejs/biome/bin/biome', 'ci', '--error-on-warnings', ...colours),
  docs: () => run(process.execPath, ['tools/check-docs.js']),
  types: () => npx('typescript/bin/tsc', '--project', 'tsconfig.json'),
  api: () => run(process.execPath, ['tools/api-report.js']),
  'rust-tests': () => cargo('test', ...core),
  loom,
  miri,
  'thread-sanitizer': threadSanitizer,
  'javascript-tests': () =>
    nodeTest([
      ...files('__test__', '.test.js', isApart),
      ...files(path.join('bench', 'tests'), '.test.js'),
    ]),
  jest: () =>
    run(
      process.execPath,
      [
        ...['node_modules/jest/bin/jest.js', '--ci', '--detectOpenHandles', '--colors=false'],
        ...['--config', JSON.stringify(require('./jest.config.js'))],
      ],
      // It would wait for open handles forever, and says so.
      {
        limitSeconds: 300,
        forbidden: /Jest (did not exit|has detected)|failed to exit gracefully/,
      },
    ),
  // Most of their time they wait for a server.
  'real-keycloak': () =>
    withSharedKeycloak((env) =>
      nodeTest(files(realKeycloak, '.test.js'), {
        ...{ mayLeaveOut: false, env, limitSeconds: 1800 },
        flags: ['--test-concurrency=2'],
      }),
    ),
  leaks: () => nodeTest(files(leaks, '.test.js'), { limitSeconds: 1800 }),
  soak: () => nodeTest(files(soak, '.test.js')),
  demo: () => run(process.execPath, ['examples/demo'], { limitSeconds: 20 }),
  package: packages,
  'package-tests': packageTests,
};

async function runStage(name) {
  console.log(`\n── ${name}`);
  const start = performance.now();
  const over = (state, note = '') => ({
    ...{ name, state, note },
    seconds: (performance.now() - start) / 1000,
  });
  try {
    const note = await stages[name]();
    return over('passed', note || '');
  } catch (error) {
    const isLeftOut = error instanceof Unavailable || (error instanceof Skipped && !onCi);
    if (isLeftOut) return over('skipped', error.message);
    console.error(`${name}: ${error.message}`);
    return over('FAILED', error.message.split('\n')[0]);
  }
}

async function main(chosen) {
  const all = Object.keys(stages);
  const isMeant = (name, word) => name === word || name.startsWith(`${word}-`);
  const unknown = chosen.filter((word) => !all.some((name) => isMeant(name, word)));
  if (unknown.length > 0) {
    console.error(`Unknown stage: ${unknown.join(', ')}. There are: ${all.join(', ')}`);
    return 2;
  }
  const results = [];
  for (const name of all) {
    if (chosen.length > 0 && !chosen.some((word) => isMeant(name, word))) continue;
    const result = await runStage(name);
    results.push(result);
    if (['install', 'build'].includes(name) && result.state === 'FAILED') break;
  }
  console.log('\n── summary');
  for (const { name, state, seconds, note } of results) {
    const time = `${seconds.toFixed(1).padStart(7)} s`;
    console.log(`${name.padEnd(18)} ${state.padEnd(8)} ${time}  ${note}`.trimEnd());
  }
  const failed = results.filter(({ state }) => state === 'FAILED').length;
  const skipped = results.filter(({ state }) => state === 'skipped').length;
  const total = results.reduce((sum, { seconds }) => sum + seconds, 0);
  const passed = results.length - failed - skipped;
  console.log(
    `${passed} stages passed, ${failed} failed, ${skipped} skipped, ${total.toFixed(0)} s`,
  );
  return failed > 0 ? 1 : 0;
}

main(process.argv.slice(2)).then((status) => {
  process.exitCode = status;
});
