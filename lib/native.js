'use strict';

/**
 * Loads the native binary of this checkout or, without such a build, of the package that npm
 * installs for the platform. If no binary loads, the error says why and what to do. Unless loading
 * fails, this module reads no other file, because each file would add about a tenth to the
 * package's loading time.
 */

const { closeSync, existsSync, openSync, readSync } = require('node:fs');
const { createRequire } = require('node:module');
const path = require('node:path');
const { platforms, requirePackage } = require('./platform-packages.js');

const NAME = 'keycloak-token-manager';
/**
 * The number of bytes to read from an ELF file: the first few hundred name its interpreter, which
 * identifies the C library.
 */
const HEAD_BYTES = 2048;

const REINSTALL = 'remove node_modules and install again on the system that runs the code';
/**
 * The meanings of the system loader's errors. A row without a pattern compares the error's code.
 */
const failures = [
  {
    code: 'ERR_DLOPEN_DISABLED',
    means: 'Node was started without permission to load native addons',
    advice: 'with --permission, also pass --allow-addons; remove --no-addons',
  },
  {
    code: 'ERR_ACCESS_DENIED',
    means: 'Node was started without permission to read the package',
    advice: 'allow the folder of the package with --allow-fs-read',
  },
  {
    pattern: /failed to map segment|Operation not permitted/,
    means: 'the package is on a file system that is mounted with noexec',
    advice: 'move node_modules (or the bundle) to a file system without noexec, or remount it',
  },
  {
    pattern: /GLIBC_\S+['’`]? not found/,
    means: "this system's glibc is too old",
    advice: 'use a system with glibc 2.17 or newer, or one with musl',
  },
  {
    pattern: /ld-linux|libc\.musl|libc\.so|Error relocating/,
    means: 'the binary was built for a different C library (glibc or musl) than this Node',
    advice: REINSTALL,
  },
  {
    pattern:
      /wrong ELF class|incompatible architecture|not a valid Win32|\.node: cannot open shared object/,
    means: 'the binary was built for another processor architecture',
    advice: REINSTALL,
  },
  {
    pattern: /invalid ELF header|file too short|Exec format error/,
    means: 'the file is damaged, or built for another system',
    advice: REINSTALL,
  },
];

/**
 * Returns the C library of this Node. The diagnostic report is authoritative, but creating a report
 * takes milliseconds.
 */
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
    // The file system is mocked or forbidden, so the code below uses the report.
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
  // The published code is a single file, which defines this name and never has a binary next to it.
  if (typeof IS_PUBLISHED === 'undefined') {
    const built = path.join(__dirname, '..', `${NAME}.${platform}.node`);
    if (existsSync(built)) return require(built);
  }
  if (!platforms.includes(platform)) {
    throw new Error(
      `${NAME} has no native binary for this platform (${here()}). ` +
        `Supported platforms: ${platforms.join(', ')}.`,
    );
  }
  const { version } = require('../package.json');
  const { native, cause } = requirePackage(platform);
  if (cause !== undefined) {
    const say = cause.code === 'MODULE_NOT_FOUND' ? noBinary : noLoading;
    throw new Error(say(platform, version, cause), { cause });
  }
  if (native.VERSION !== version) throw new Error(otherVersion(platform, version, native.VERSION));
  return native;
}

function here() {
  const { platform, arch, version } = process;
  const abi = platform === 'linux' ? `, ${libc() === 'musl' ? 'musl' : 'glibc'}` : '';
  return `${platform}, ${arch}${abi}, Node ${version}`;
}

/** Returns the platforms whose packages are installed. A bundle has no folder to search. */
function installedPlatforms() {
  try {
    const { resolve } = createRequire(path.join(__dirname, 'any.js'));
    return platforms.filter((platform) => {
      try {
        return resolve(`${NAME}-${platform}`) !== undefined;
      } catch {
        return false;
      }
    });
  } catch {
    return [];
  }
}

function noBinary(platform, version) {
  const others = installedPlatforms();
  const found =
    others.length === 0
      ? 'This package is not installed. Usual causes:\n' +
        '- the installation omitted optional dependencies (--omit=optional, --no-optional, omit ' +
        'in .npmrc): install them as well;\n' +
        '- the lock file was written on another system: remove the lock file and node_modules, ' +
        'and install again;\n' +
        '- a bundle was built on another system: build it on a system like the one that runs it.'
      : `Instead, the package for another platform is installed (${others.join(', ')}), because ` +
        'node_modules was installed on another system, such as a laptop, or in an image with ' +
        'another C library (musl on Alpine, otherwise glibc). Install the dependencies in the ' +
        'image that runs the code.';
  return (
    `${NAME} cannot find its native binary for this platform (${here()}). It is in the package ` +
    `${NAME}-${platform}@${version}, an optional dependency that npm, yarn and pnpm install ` +
    `automatically. ${found}`
  );
}

function otherVersion(platform, version, found) {
  return (
    `${NAME} ${version} found ${NAME}-${platform} ${found}: both must have the same version. ` +
    'Remove the setting that pins the second version (overrides, resolutions or an edited lock ' +
    'file), remove node_modules and install again.'
  );
}

function noLoading(platform, version, { code, message }) {
  const known = failures.find(({ pattern, ...row }) => pattern?.test(message) ?? code === row.code);
  const explanation = known && `: ${known.means}. What to do: ${known.advice}`;
  return (
    `${NAME} cannot load ${NAME}-${platform}@${version} (${here()})${explanation ?? ''}. ` +
    `The cause: ${message}`
  );
}

const native = load(thisPlatform());
// Deno before 2.9.4 never frees a string if another one shares its memory.
if (process.versions.deno !== undefined) native.copyTokens();

module.exports = native;
