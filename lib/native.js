'use strict';

/**
 * Loads the native binary: the one that was built in this checkout, or else the one in the package
 * that npm installs for the platform. If it is missing, the error says what to do. Reads no other
 * file, because each one would add a tenth to the time that loading the package takes.
 */

const { closeSync, existsSync, openSync, readSync } = require('node:fs');
const path = require('node:path');

const NAME = 'keycloak-token-manager';
/** The first few hundred bytes of an ELF file name its interpreter, which tells the C library. */
const HEAD_BYTES = 2048;

/** Written out so that bundlers and file tracers find them. */
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

/** The C library of this Node. The report is authoritative, but creating one takes milliseconds. */
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
    // Mocked or forbidden: use the report.
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
  // The published code is one file, which contains this name and never has a binary next to it.
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
        `Supported platforms: ${Object.keys(packages).join(', ')}.`,
    );
  }
  return new Error(
    `${NAME} cannot find its native binary for this platform (${here()}). It is in the package ` +
      `${NAME}-${platform}@${version}, an optional dependency that npm, yarn and pnpm install ` +
      'automatically. Usual causes:\n' +
      '- optional dependencies were omitted (--omit=optional, --no-optional, omit in .npmrc): ' +
      'install with them;\n' +
      '- the lock file was written on another system: remove the lock file and node_modules, ' +
      'install again;\n' +
      '- node_modules was copied from another system, such as a laptop into a container: ' +
      'install inside the image;\n' +
      '- node_modules of a glibc image is used in a musl image (Alpine), or vice versa: ' +
      'install in the image that runs it.',
    { cause },
  );
}

function otherVersion(platform, version, found) {
  return new Error(
    `${NAME} ${version} found ${NAME}-${platform} ${found}: both must have the same version. ` +
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
