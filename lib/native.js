'use strict';

/**
 * Loads the native side: the binary that a build left in this checkout, or else the one in the
 * package that npm installs for the platform. Says what to do when there is none. No other file is
 * read on the way: each would take a tenth of the time to load the package.
 */

const { closeSync, existsSync, openSync, readSync } = require('node:fs');
const path = require('node:path');

const NAME = 'keycloak-token-manager';
/** An ELF file names its interpreter, and so its C library, in the first few hundred bytes. */
const HEAD_BYTES = 2048;

/** Written out, so that bundlers and file tracers see them. */
const packages = {
  'darwin-arm64': () => require('keycloak-token-manager-darwin-arm64'),
  'darwin-x64': () => require('keycloak-token-manager-darwin-x64'),
  'linux-arm64-gnu': () => require('keycloak-token-manager-linux-arm64-gnu'),
  'linux-arm64-musl': () => require('keycloak-token-manager-linux-arm64-musl'),
  'linux-x64-gnu': () => require('keycloak-token-manager-linux-x64-gnu'),
  'linux-x64-musl': () => require('keycloak-token-manager-linux-x64-musl'),
  'win32-arm64-msvc': () => require('keycloak-token-manager-win32-arm64-msvc'),
  'win32-x64-msvc': () => require('keycloak-token-manager-win32-x64-msvc'),
};

/** The C library of this Node. The report knows best, but making one takes milliseconds. */
function libc() {
  const head = Buffer.alloc(HEAD_BYTES);
  try {
    const file = openSync(process.execPath);
    try {
      readSync(file, head, 0, HEAD_BYTES, 0);
    } finally {
      closeSync(file);
    }
  } catch {
    // Mocked or forbidden: the report has to do.
  }
  const text = head.latin1Slice();
  if (text.includes('/ld-linux')) return 'gnu';
  if (text.includes('/ld-musl')) return 'musl';
  return process.report.getReport().header.glibcVersionRuntime === undefined ? 'musl' : 'gnu';
}

function thisPlatform() {
  const { platform, arch } = process;
  const abi = { linux: libc, win32: () => 'msvc' }[platform]?.();
  return abi === undefined ? `${platform}-${arch}` : `${platform}-${arch}-${abi}`;
}

function load(platform) {
  // What is published is one file, with this name in it, and never has a binary beside it.
  if (typeof IS_PUBLISHED === 'undefined') {
    const built = path.join(__dirname, '..', `${NAME}.${platform}.node`);
    if (existsSync(built)) return require(built);
  }
  if (!Object.hasOwn(packages, platform)) throw noBinary(platform, undefined);
  const { version } = require('../package.json');
  let native;
  try {
    native = packages[platform]();
  } catch (cause) {
    const say = cause.code === 'MODULE_NOT_FOUND' ? noBinary : noLoading;
    throw say(platform, version, cause);
  }
  if (native.VERSION !== version) throw otherVersion(platform, version, native.VERSION);
  return native;
}

function here() {
  const { platform, arch, version } = process;
  const abi = platform === 'linux' ? `, ${libc() === 'musl' ? 'musl' : 'glibc'}` : '';
  return `${platform}, ${arch}${abi}, Node ${version}`;
}

function noBinary(platform, version, cause) {
  if (version === undefined) {
    return new Error(
      `${NAME} has no native binary for this platform (${here()}). ` +
        `There are: ${Object.keys(packages).join(', ')}.`,
    );
  }
  return new Error(
    `${NAME} cannot find its native binary for this platform (${here()}). It is in the package ` +
      `${NAME}-${platform}@${version}, an optional dependency that npm, yarn and pnpm install by ` +
      'themselves. Usual causes of its absence:\n' +
      '- optional dependencies are left out (--omit=optional, --no-optional, omit in .npmrc): ' +
      'install with them;\n' +
      '- a lock file written on another system lacks it: remove the lock file and node_modules, ' +
      'install again;\n' +
      '- node_modules was copied from another system, such as a laptop into a container: ' +
      'install inside the image;\n' +
      '- node_modules of a glibc image is used in a musl one (Alpine), or the reverse: ' +
      'install in the image that runs it.',
    { cause },
  );
}

function otherVersion(platform, version, found) {
  return new Error(
    `${NAME} ${version} found ${NAME}-${platform} ${found}: both must be of one version. ` +
      'Remove what pins the second one (overrides, resolutions, an edited lock file), remove ' +
      'node_modules and install again.',
  );
}

function noLoading(platform, version, cause) {
  return new Error(
    `${NAME} cannot load ${NAME}-${platform}@${version} on this platform (${here()}): ` +
      `${cause.message}`,
    { cause },
  );
}

module.exports = load(thisPlatform());
