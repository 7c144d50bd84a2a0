'use strict';

// Runs the tests of the Rust crates under three tools: loom explores the ways in which threads can
// interleave, Miri finds undefined behaviour, and ThreadSanitizer finds data races. Miri and
// ThreadSanitizer need a nightly compiler, which rustup installs.

const path = require('node:path');
const { Skipped } = require('./node-test.js');
const { root, run } = require('./run.js');

const manager = ['--locked', '--package', 'keycloak-manager'];

/**
 * Returns the build folder of a tool. Each tool builds with its own flags, so its build shares no
 * files with other builds.
 */
const targetFolder = (name) => path.join(root, 'target', name);

const flags = (more) => [process.env.RUSTFLAGS, more].filter(Boolean).join(' ');

/**
 * The limit is generous, because the machine may be busy. Without a limit, loom could run forever.
 */
const LIMIT_SECONDS = 1800;

/**
 * Parts of the names of tests that take minutes under Miri, for example because they loop over long
 * texts.
 */
const SLOW_UNDER_MIRI = [
  'a_route_that_always_rejects_among_good_ones',
  'an_api_that_rejects_everything_causes_few_logins',
  'base64_agrees_with_the_crate_and_never_moves',
  'damaged_answers_never_cause_a_panic',
  'key::',
  'redact::',
  'unusable_token_responses',
];

/** Returns the environment of the nightly compiler with these components. */
async function nightly(...components) {
  const env = { RUSTUP_TOOLCHAIN: 'nightly' };
  const names = components.flatMap((name) => ['--component', name]);
  try {
    // This command does not update an installed compiler.
    await run('rustup', ['component', 'add', '--toolchain', 'nightly', ...components]).catch(() =>
      run('rustup', ['toolchain', 'install', 'nightly', '--profile', 'minimal', ...names]),
    );
    console.log((await run('rustc', ['--version'], { capture: true, env })).trim());
  } catch (error) {
    throw new Skipped(`no nightly compiler with ${components.join(' and ')}: ${error.message}`);
  }
  return env;
}

/** Runs tests and returns the number of passed tests; throws if no test passed. */
async function cargoTest(args, env) {
  const output = await run('cargo', args, {
    capture: true,
    limitSeconds: LIMIT_SECONDS,
    env: { RUST_BACKTRACE: '0', ...env },
  });
  const results = [...output.matchAll(/^test result: ok\. (\d+) passed.*$/gm)];
  console.log(results.map(([line]) => line).join('\n'));
  const passed = results.reduce((sum, [, count]) => sum + Number(count), 0);
  if (passed === 0) throw new Error(`no test ran\n${output}`);
  return passed;
}

/** Runs `crates/manager/tests/loom`. */
async function loom() {
  const passed = await cargoTest(['test', '--release', ...manager, '--test', 'loom'], {
    // Loom is slow without optimisation. Link-time optimisation does not make it faster.
    CARGO_PROFILE_RELEASE_LTO: 'off',
    CARGO_PROFILE_RELEASE_CODEGEN_UNITS: '16',
    CARGO_TARGET_DIR: targetFolder('loom'),
    RUSTFLAGS: flags('--cfg loom'),
  });
  return `${passed} tests`;
}

/** Runs the unit tests of the core crates, and the tests of flights that lose their runtime. */
async function miri() {
  const env = {
    ...(await nightly('miri', 'rust-src')),
    CARGO_TARGET_DIR: targetFolder('miri'),
    // The tests read a secret from a file.
    MIRIFLAGS: '-Zmiri-disable-isolation',
  };
  await run('cargo', ['miri', 'setup'], { capture: true, env });
  const skipped = SLOW_UNDER_MIRI.flatMap((name) => ['--skip', name]);
  const inMiri = (...args) => cargoTest(['miri', 'test', ...manager, ...args], env);
  const layers = ['keycloak-oauth', 'keycloak-transport'].flatMap((name) => ['--package', name]);
  const passed =
    (await inMiri(...layers, '--lib', '--', ...skipped)) + (await inMiri('--test', 'flights'));
  return `${passed} tests, without the slow tests`;
}

const threaded = ['flights', 'http', 'manager', 'node_roots', 'tls'];

/** Runs the tests that use real threads and sockets. */
async function threadSanitizer() {
  if (process.platform !== 'linux') throw new Skipped('ThreadSanitizer runs only on Linux');
  const env = await nightly('rust-src');
  const version = await run('rustc', ['--version', '--verbose'], { capture: true, env });
  const [, host] = /^host: (.+)$/m.exec(version);
  // Without an instrumented standard library, ThreadSanitizer reports races that do not exist.
  const target = ['-Zbuild-std', '--target', host];
  const packages = [...manager, '--package', 'keycloak-transport'];
  const tests = threaded.flatMap((name) => ['--test', name]);
  const passed = await cargoTest(['test', ...target, ...packages, ...tests], {
    ...env,
    CARGO_PROFILE_DEV_DEBUG: 'line-tables-only',
    CARGO_TARGET_DIR: targetFolder('thread-sanitizer'),
    RUSTFLAGS: flags('-Zsanitizer=thread'),
  });
  return `${passed} tests`;
}

module.exports = { loom, miri, threadSanitizer };
