'use strict';

// `npm run fuzz -- <target> [--runs N] [-- <option of libFuzzer> …]`: gives a target of `fuzz/`
// N inputs that libFuzzer makes, a million unless told. What it finds worth keeping goes to
// `fuzz/target/found/<target>`, an input that fails to `fuzz/artifacts/<target>`.

const { mkdir, readdir } = require('node:fs/promises');
const path = require('node:path');
const { parseArgs } = require('node:util');
const { pinnedProgram } = require('./pinned-program.js');
const { root, run } = require('./run.js');

const DEFAULT_RUNS = 1_000_000;
const USAGE = 'Usage: npm run fuzz -- <target> [--runs N] [-- <option of libFuzzer> …]';
/** libFuzzer counts executions in 32 bits. */
const MOST_RUNS = 2 ** 31 - 1;
const LIMIT_SECONDS = 24 * 60 * 60;

async function targets() {
  const files = await readdir(path.join(root, 'fuzz', 'fuzz_targets'));
  return files.map((file) => path.basename(file, '.rs')).sort();
}

/** The program; throws the reason if fuzzing is not possible here. */
async function cargoFuzz() {
  try {
    return await pinnedProgram('cargo-fuzz');
  } catch (error) {
    // If no such wheel exists, use an installed program.
    return run('cargo-fuzz', ['--version'], { capture: true }).then(
      () => 'cargo-fuzz',
      () => {
        throw new Error(
          `cargo-fuzz is not available: ${error.message}\n` +
            'Install it with `cargo install cargo-fuzz`.',
        );
      },
    );
  }
}

async function checkNightly() {
  await run('rustc', ['--version'], { capture: true, env: { RUSTUP_TOOLCHAIN: 'nightly' } }).catch(
    (error) => {
      throw new Error(
        'Fuzzing needs the nightly compiler; install it with ' +
          `\`rustup toolchain install nightly --profile minimal\`.\n${error.message}`,
      );
    },
  );
}

async function main(args) {
  const { values, positionals } = parseArgs({
    args,
    allowPositionals: true,
    options: { runs: { type: 'string', default: `${DEFAULT_RUNS}` } },
  });
  const [target, ...more] = positionals;
  const all = await targets();
  const runs = Number(values.runs);
  const isFit = Number.isInteger(runs) && runs > 0 && runs <= MOST_RUNS;
  if (!all.includes(target) || !isFit) {
    throw new Error(`${USAGE}\nTargets: ${all.join(', ')}. N: 1 to ${MOST_RUNS}.`);
  }
  await checkNightly();
  const program = await cargoFuzz();
  const found = path.join('fuzz', 'target', 'found', target);
  await mkdir(path.join(root, found), { recursive: true });
  const start = performance.now();
  await run(
    program,
    [
      // There is no unsafe code in what is fuzzed, and the corpora have the words that comparisons
      // would give away: without either it is several times as fast.
      ...['fuzz', 'run', '--sanitizer', 'none', '--no-trace-compares', target],
      // New inputs go to the first folder.
      ...[found, path.join('fuzz', 'corpus', target)],
      ...['--', `-runs=${runs}`, '-print_final_stats=1', ...more],
    ],
    { limitSeconds: LIMIT_SECONDS, env: { RUSTUP_TOOLCHAIN: 'nightly' } },
  );
  const seconds = (performance.now() - start) / 1000;
  console.log(`${target}: ${runs} executions, no failure, ${seconds.toFixed(0)} s with the build`);
}

main(process.argv.slice(2)).catch((error) => {
  console.error(error.message);
  process.exitCode = 1;
});
