'use strict';

// `npm run fuzz -- <target> [--runs N] [-- <option of libFuzzer> …]` runs a target of `fuzz/` with
// N inputs (by default, a million). libFuzzer writes inputs that reach new code to
// `fuzz/target/found/<target>`, and inputs that fail to `fuzz/artifacts/<target>`.

const { mkdir } = require('node:fs/promises');
const path = require('node:path');
const { parseArgs } = require('node:util');
const { pinnedProgram } = require('./pinned-program.js');
const { root, run, runMain } = require('./run.js');

const LIMIT_SECONDS = 24 * 60 * 60;

async function main(args) {
  const { values, positionals } = parseArgs({
    args,
    allowPositionals: true,
    options: { runs: { type: 'string', default: '1000000' } },
  });
  const [target, ...more] = positionals;
  if (target === undefined) throw new Error('usage: npm run fuzz -- <target> [--runs N]');
  // On a system that the wheels do not support, the script uses the installed program.
  const program = await pinnedProgram('cargo-fuzz').catch(() => 'cargo-fuzz');
  const found = path.join('fuzz', 'target', 'found', target);
  await mkdir(path.join(root, found), { recursive: true });
  // The fuzzed code contains no `unsafe`, and the corpora contain the words that it compares.
  // Without a sanitizer and comparison traces, fuzzing is several times as fast.
  const speed = ['--sanitizer', 'none', '--no-trace-compares'];
  // libFuzzer writes new inputs to the first folder.
  const corpora = [found, path.join('fuzz', 'corpus', target)];
  const options = [`-runs=${values.runs}`, '-print_final_stats=1', ...more];
  await run(program, ['fuzz', 'run', ...speed, target, ...corpora, '--', ...options], {
    limitSeconds: LIMIT_SECONDS,
    env: { RUSTUP_TOOLCHAIN: 'nightly' },
  });
}

runMain(module, main);
