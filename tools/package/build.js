'use strict';

// Builds the native binary of one target reproducibly: the binary contains no path of this machine.
// On Linux, Zig links the binary, so that it runs with an old glibc. The debug symbols go into a
// separate file.

const { createHash } = require('node:crypto');
const fs = require('node:fs');
const path = require('node:path');
const { pinnedProgram } = require('../pinned-program.js');
const { root, run, runMain } = require('../run.js');
const { checkBinary } = require('./check-binary.js');
const { OLDEST_GLIBC, targets } = require('./targets.js');

const SOURCES = ['Cargo.toml', 'Cargo.lock', 'build.rs', 'rust-toolchain.toml', 'crates', 'src'];
const BUILD_LIMIT_SECONDS = 2400;
const LIBRARY = {
  darwin: 'libkeycloak_token_manager.dylib',
  linux: 'libkeycloak_token_manager.so',
  win32: 'keycloak_token_manager.dll',
};

const output = (command, args, options) =>
  run(command, args, { ...options, capture: true }).then((text) => text.trim());

/**
 * Returns the crates that the linker puts into the binary of a target. The first crate is ours and
 * represents the workspace. The list omits procedural macros, because they run only in the
 * compiler.
 */
async function linkedCrates(name) {
  const { triple } = targets[name];
  const args = ['metadata', '--locked', '--format-version=1', `--filter-platform=${triple}`];
  const { packages, resolve, target_directory } = JSON.parse(await output('cargo', args));
  const packageOf = new Map(packages.map((entry) => [entry.id, entry]));
  const nodeOf = new Map(resolve.nodes.map((node) => [node.id, node]));
  const isMacro = (id) => packageOf.get(id).targets.some(({ kind }) => kind.includes('proc-macro'));
  const isLinked = ({ dep_kinds, pkg }) =>
    dep_kinds.some(({ kind }) => kind === null) && !isMacro(pkg);
  const dependenciesOf = (id) =>
    nodeOf
      .get(id)
      .deps.filter(isLinked)
      .flatMap(({ pkg }) => (packageOf.get(pkg).source === null ? dependenciesOf(pkg) : [pkg]));
  const linked = new Map();
  const visit = (id) => {
    if (linked.has(id)) return;
    const dependencies = [...new Set(dependenciesOf(id))];
    linked.set(id, { ...packageOf.get(id), dependencies });
    dependencies.forEach(visit);
  };
  visit(resolve.root);
  return { crates: [...linked.values()], targetFolder: target_directory };
}

/** Installs the standard library of the target with rustup if it is missing. */
async function ensureTarget(name) {
  const { triple } = targets[name];
  const sysroot = await output('rustc', ['--print', 'sysroot']);
  if (fs.existsSync(path.join(sysroot, 'lib', 'rustlib', triple, 'lib'))) return;
  await run('rustup', ['target', 'add', triple]).catch((error) => {
    throw new Error(`the Rust target ${triple} is not available: ${error.message}`);
  });
}

/** Returns an id of the sources, so that you can find the debug symbols for a crash report. */
function buildId(name) {
  const hash = createHash('sha1').update(targets[name].triple);
  const add = (file) => {
    const absolute = path.join(root, file);
    if (fs.statSync(absolute).isDirectory()) {
      for (const entry of fs.readdirSync(absolute).sort()) add(path.join(file, entry));
    } else {
      hash.update(`\0${file.replaceAll(path.sep, '/')}\0`).update(fs.readFileSync(absolute));
    }
  };
  SOURCES.forEach(add);
  return hash.digest('hex');
}

/** Returns pairs: a folder of the sources on this machine, and its name in the binary. */
function remappedPaths(crates) {
  const folders = new Set(
    crates.slice(1).map((crate) => path.dirname(path.dirname(crate.manifest_path))),
  );
  return [[root, '/src'], ...[...folders].sort().map((folder) => [folder, '/crates'])];
}

/** Builds the target and returns the path of the library, which on Linux contains debug symbols. */
async function compile(name, { crates, targetFolder }) {
  const { triple, os, libc } = targets[name];
  const paths = remappedPaths(crates);
  const flags = paths.map(([from, to]) => `--remap-path-prefix=${from}=${to}`);
  const env = {};
  let command = ['cargo', 'build', '--target', triple];
  if (os === 'linux') {
    const program = await pinnedProgram('cargo-zigbuild');
    const version = libc === 'glibc' ? `.${OLDEST_GLIBC}` : '';
    command = [program, 'zigbuild', '--target', triple + version];
    flags.push(`-Clink-arg=-Wl,--build-id=0x${buildId(name)}`);
    // The binary must not contain its own C library, because Node has already loaded one.
    if (libc === 'musl') flags.push('-Ctarget-feature=-crt-static');
    env.CARGO_ZIGBUILD_PYTHON_PATH = path.join(path.dirname(program), 'python');
    env.CFLAGS = paths.map(([from, to]) => `-ffile-prefix-map=${from}=${to}`).join(' ');
    env.CARGO_PROFILE_RELEASE_STRIP = 'none';
    env.CARGO_PROFILE_RELEASE_DEBUG = 'line-tables-only';
  }
  env.CARGO_ENCODED_RUSTFLAGS = flags.join('\x1f');
  const [program, ...args] = [...command, '--release', '--locked', '--lib'];
  await run(program, args, { limitSeconds: BUILD_LIMIT_SECONDS, env });
  return path.join(targetFolder, triple, 'release', LIBRARY[os]);
}

/** Runs the compiler's own objcopy, which supports the ELF files of every processor. */
async function objcopy(...args) {
  const sysroot = await output('rustc', ['--print', 'sysroot']);
  const version = await output('rustc', ['--version', '--verbose']);
  const [, host] = /^host: (.+)$/m.exec(version);
  const program = path.join(sysroot, 'lib', 'rustlib', host, 'bin', 'rust-objcopy');
  await run(program, args, { env: { LD_LIBRARY_PATH: path.join(sysroot, 'lib') } });
}

/**
 * Writes the binary to `binary` and its debug symbols to `symbols`, or copies a binary that was
 * `built` on another system. Returns the crates in it.
 */
async function buildBinary(name, { binary, symbols, built }) {
  await ensureTarget(name);
  const linked = await linkedCrates(name);
  const from = built ?? (await compile(name, linked));
  if (built === undefined && targets[name].os === 'linux') {
    await objcopy('--only-keep-debug', from, symbols);
    await objcopy('--strip-all', from, binary);
  } else {
    fs.copyFileSync(from, binary);
  }
  checkBinary(binary, name);
  fs.chmodSync(binary, 0o755);
  return linked.crates;
}

module.exports = { SOURCES, buildBinary, linkedCrates };

runMain(module, ([name, binary, symbols]) => buildBinary(name, { binary, symbols }));
