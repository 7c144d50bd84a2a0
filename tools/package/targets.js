'use strict';

// The platforms with a package. Its name is `keycloak-token-manager-` and the key; npm and yarn
// select it by `os`, `cpu` and `libc`.

/** The newest version of glibc that a binary may require: RHEL 7, Debian 8, Ubuntu 14.04. */
const OLDEST_GLIBC = '2.17';

const targets = {
  'darwin-arm64': { triple: 'aarch64-apple-darwin', os: 'darwin', cpu: 'arm64' },
  'darwin-x64': { triple: 'x86_64-apple-darwin', os: 'darwin', cpu: 'x64' },
  'linux-arm64-gnu': {
    triple: 'aarch64-unknown-linux-gnu',
    os: 'linux',
    cpu: 'arm64',
    libc: 'glibc',
  },
  'linux-arm64-musl': {
    triple: 'aarch64-unknown-linux-musl',
    os: 'linux',
    cpu: 'arm64',
    libc: 'musl',
  },
  'linux-x64-gnu': {
    triple: 'x86_64-unknown-linux-gnu',
    os: 'linux',
    cpu: 'x64',
    libc: 'glibc',
  },
  'linux-x64-musl': {
    triple: 'x86_64-unknown-linux-musl',
    os: 'linux',
    cpu: 'x64',
    libc: 'musl',
  },
  'win32-arm64-msvc': { triple: 'aarch64-pc-windows-msvc', os: 'win32', cpu: 'arm64' },
  'win32-x64-msvc': { triple: 'x86_64-pc-windows-msvc', os: 'win32', cpu: 'x64' },
};

/** The platform of this Node. */
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

/** The name of a target; `x64-musl` means `linux-x64-musl`. */
function findTarget(word) {
  const name = [word, `linux-${word}`].find((key) => Object.hasOwn(targets, key));
  if (name === undefined) {
    throw new Error(`unknown target: ${word}. There are: ${Object.keys(targets).join(', ')}`);
  }
  return name;
}

module.exports = { OLDEST_GLIBC, findTarget, ownTarget, targets };
