'use strict';

// The platforms with a package. The package's name is `keycloak-token-manager-` followed by the
// key. npm and yarn select the package by `os`, `cpu` and `libc`.

/** The newest version of glibc that a binary may require: RHEL 7, Debian 8, Ubuntu 14.04. */
const OLDEST_GLIBC = '2.17';

const TRIPLES = {
  'darwin-arm64': 'aarch64-apple-darwin',
  'darwin-x64': 'x86_64-apple-darwin',
  'linux-arm64-gnu': 'aarch64-unknown-linux-gnu',
  'linux-arm64-musl': 'aarch64-unknown-linux-musl',
  'linux-x64-gnu': 'x86_64-unknown-linux-gnu',
  'linux-x64-musl': 'x86_64-unknown-linux-musl',
  'win32-arm64-msvc': 'aarch64-pc-windows-msvc',
  'win32-x64-msvc': 'x86_64-pc-windows-msvc',
};
const LIBCS = { gnu: { libc: 'glibc' }, musl: { libc: 'musl' } };

const targets = Object.fromEntries(
  Object.entries(TRIPLES).map(([name, triple]) => {
    const [os, cpu, abi] = name.split('-');
    return [name, { triple, os, cpu, ...LIBCS[abi] }];
  }),
);

/** Returns the platform of this Node. */
function ownTarget() {
  const { platform, arch } = process;
  const { glibcVersionRuntime } = process.report.getReport().header;
  const libc = glibcVersionRuntime === undefined ? 'musl' : 'glibc';
  const name = Object.keys(targets).find((key) => {
    const target = targets[key];
    return target.os === platform && target.cpu === arch && (target.libc ?? libc) === libc;
  });
  if (name === undefined) throw new Error(`there is no package for ${platform} on ${arch}`);
  return name;
}

/** Returns the full name of a target; `x64-musl` means `linux-x64-musl`. */
function findTarget(word) {
  const name = [word, `linux-${word}`].find((key) => Object.hasOwn(targets, key));
  if (name === undefined) {
    throw new Error(`unknown target: ${word}. Known targets: ${Object.keys(targets).join(', ')}`);
  }
  return name;
}

module.exports = { OLDEST_GLIBC, findTarget, ownTarget, targets };
