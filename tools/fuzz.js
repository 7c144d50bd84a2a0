'use strict';

// `npm run fuzz -- <target> [--runs N] [-- <option of libFuzzer> …]` runs a target of `fuzz/` with
// N inputs of libFuzzer, by default a million. Inputs that reach new code are written to
// `fuzz/target/found/<target>`, inputs that fail to `fuzz/artifacts/<target>`.

const { mkdir, readdir } = require('node:fs/promises');
const path = require('node:path');
const { parseArgs } = require('node:util');
const { pinnedProgram } = require('./pinned-program.js');
const { root, run, runMain } = require('./run.js');

const DEFAULT_RUNS = 1_000_000;
const USAGE = 'Usage: npm run fuzz -- <target> [--runs N] [-- <option of libFuzzer> …]';
/** libFuzzer counts executions in 32 bits. */
const MOST_RUNS = 2 ** 31 - 1;
const LIMIT_SECONDS = 24 * 60 * 60;
const env = { RUSTUP_TOOLCHAIN: 'nightly' };

async function targets() {
  const files = await readdir(path.join(root, 'fuzz', 'fuzz_targets'));
  return files.map((file) => path.basename(file, '.rs')).sort();
}

/** Returns the pinned program, or the installed one on a system without a wheel. */
async function cargoFuzz() {
  try {
    return await pinnedProgram('cargo-fuzz');
  } catch (error) {
    await run('cargo-fuzz', ['--version'], { capture: true }).catch(() => {
      const advice = 'Install it with `cargo install cargo-fuzz`.';
      throw new Error(`cargo-fuzz is not available: ${error.message}\n${advice}`);
    });
    return 'cargo-fuzz';
  }
}

async function checkNightly() {
  await run('rustc', ['--version'], { capture: true, env }).catch((error) => {
    const advice = 'Install it with `rustup toolchain install nightly --profile minimal`.';
    throw new Error(`Fuzzing needs the nightly compiler. ${advice}\n${error.message}`);
  });
}

async function main() {
  const { values, positionals } = parseArgs({
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
  // The fuzzed code has no unsafe code, and the corpora contain the words of its comparisons.
  // Without sanitizer and traces of comparisons, fuzzing is several times as fast.
  const speed = ['--sanitizer', 'none', '--no-trace-compares'];
  // New inputs are written to the first folder.
  const corpora = [found, path.join('fuzz', 'corpus', target)];
  const args = ['fuzz', 'run', ...speed, target, ...corpora];
  args.push('--', `-runs=${runs}`, '-print_final_stats=1', ...more);
  await run(program, args, { limitSeconds: LIMIT_SECONDS, env });
  const seconds = (performance.now() - start) / 1000;
  console.log(`${target}: ${runs} executions, no failure, ${seconds.toFixed(0)} s with the build`);
}

runMain(module, main);
