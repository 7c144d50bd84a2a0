'use strict';

// Three tools that look at the Rust core for what tests alone do not see: loom tries every order in
// which its threads may meet, Miri finds undefined behaviour, ThreadSanitizer data races. The last
// two need a nightly compiler, which rustup brings where there is one.

const path = require('node:path');
const { root, run } = require('./run.js');

/** Thrown when a tool is not available: nothing was checked, but nothing failed. */
class Unavailable extends Error {}

const manager = ['--locked', '--package', 'keycloak-manager'];

/** Nothing is shared with other builds: each has flags of its own. */
const targetFolder = (name) => path.join(root, 'target', name);

const flags = (more) => [process.env.RUSTFLAGS, more].filter(Boolean).join(' ');

/** Some minutes for what takes seconds: the machine may be busy, and an order may be endless. */
const LIMIT_SECONDS = 1800;

/** Parts of names of tests that take minutes under Miri: loops over long texts and many rounds. */
const SLOW_UNDER_MIRI = [
  'a_route_that_always_rejects_among_good_ones',
  'an_api_that_rejects_everything_causes_few_logins',
  'base64_agrees_with_the_crate_and_never_moves',
  'damaged_answers_never_cause_a_panic',
  'key::',
  'redact::',
  'unusable_token_responses',
];

/** The environment of the nightly compiler with these components. */
async function nightly(...components) {
  const env = { RUSTUP_TOOLCHAIN: 'nightly' };
  const names = components.flatMap((name) => ['--component', name]);
  try {
    // Where it is installed it stays the one it is.
    await run('rustc', ['--version'], { capture: true, env })
      .then(() => run('rustup', ['component', 'add', '--toolchain', 'nightly', ...components]))
      .catch(() =>
        run('rustup', ['toolchain', 'install', 'nightly', '--profile', 'minimal', ...names]),
      );
    console.log((await run('rustc', ['--version'], { capture: true, env })).trim());
  } catch (error) {
    throw new Unavailable(`no nightly compiler with ${components.join(' and ')}: ${error.message}`);
  }
  return env;
}

/** Runs tests and says how many passed: where none did, nothing was checked. */
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

/** Every order in which the threads of `crates/manager/tests/loom` may meet. */
async function loom() {
  const passed = await cargoTest(['test', '--release', ...manager, '--test', 'loom'], {
    // Loom is slow without optimisation; a whole link is of no use to it.
    CARGO_PROFILE_RELEASE_LTO: 'off',
    CARGO_PROFILE_RELEASE_CODEGEN_UNITS: '16',
    CARGO_TARGET_DIR: targetFolder('loom'),
    RUSTFLAGS: flags('--cfg loom'),
  });
  return `${passed} tests`;
}

/** The pure layers, and of the manager on simulated time what has to do with its tasks' ends. */
async function miri() {
  const env = {
    ...(await nightly('miri', 'rust-src')),
    CARGO_TARGET_DIR: targetFolder('miri'),
    // A secret is read from a file.
    MIRIFLAGS: '-Zmiri-disable-isolation',
  };
  await run('cargo', ['miri', 'setup'], { capture: true, env });
  const skipped = SLOW_UNDER_MIRI.flatMap((name) => ['--skip', name]);
  const inMiri = (...args) => cargoTest(['miri', 'test', ...manager, ...args], env);
  const layers = ['keycloak-oauth', 'keycloak-transport'].flatMap((name) => ['--package', name]);
  const passed =
    (await inMiri(...layers, '--lib', '--', ...skipped)) + (await inMiri('--test', 'flights'));
  return `${passed} tests; slow ones are left out`;
}

const threaded = [
  ...['--locked', '--package', 'keycloak-manager', '--package', 'keycloak-transport'],
  ...['flights', 'http', 'manager', 'node_roots', 'tls'].flatMap((name) => ['--test', name]),
];

/** The tests of the core over real threads and sockets. */
async function threadSanitizer() {
  if (process.platform !== 'linux') throw new Unavailable('it is run on Linux alone');
  const env = await nightly('rust-src');
  const version = await run('rustc', ['--version', '--verbose'], { capture: true, env });
  const [, host] = /^host: (.+)$/m.exec(version);
  const passed = await cargoTest(
    // The standard library is built with it as well: what it does not see it takes for a race.
    ['test', '-Zbuild-std', '--target', host, ...threaded],
    {
      ...env,
      CARGO_PROFILE_DEV_DEBUG: 'line-tables-only',
      CARGO_TARGET_DIR: targetFolder('thread-sanitizer'),
      RUSTFLAGS: flags('-Zsanitizer=thread'),
    },
  );
  return `${passed} tests`;
}

module.exports = { Unavailable, loom, miri, threadSanitizer };
