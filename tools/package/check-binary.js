'use strict';

// Checks that a binary needs nothing that a supported system may lack.

const { readElf } = require('./elf.js');
const { OLDEST_GLIBC, targets } = require('./targets.js');

const LIBRARIES = {
  glibc: /^(lib(c|m|dl|rt|pthread)\.so\.\d+|ld-linux-(x86-64|aarch64)\.so\.\d+)$/,
  musl: /^(libc\.so|libc\.musl-(x86_64|aarch64)\.so\.1)$/,
};
/** The symbols of Node. */
const NODE_SYMBOL = /^(napi|node_api|uv)_/;
const MACH_O_64 = 0xfeedfacf;
const MACH_O_CPU = { 16777223: 'x64', 16777228: 'arm64' };
const PE_CPU = { 34404: 'x64', 43620: 'arm64' };

function isNewer(version, limit) {
  const [major, minor = 0] = version.split('.').map(Number);
  const [limitMajor, limitMinor] = limit.split('.').map(Number);
  return major > limitMajor || (major === limitMajor && minor > limitMinor);
}

/** Requirements that not every supported system meets, and parts that must not be in the file. */
function linuxFaults({ needed, imports, sections }, libc) {
  const faults = needed
    .filter((library) => !LIBRARIES[libc].test(library))
    .map((library) => `it needs ${library}`);
  for (const { name, isWeak, version, library } of imports) {
    if (version === undefined) {
      // A weak symbol may be missing. Musl has no versions.
      const isThere = libc === 'musl' || isWeak || NODE_SYMBOL.test(name);
      if (!isThere) faults.push(`it needs ${name}, which is in no library`);
      continue;
    }
    const [, number] = /^GLIBC_([\d.]+)$/.exec(version) ?? [];
    if (libc === 'musl' || number === undefined || isNewer(number, OLDEST_GLIBC)) {
      faults.push(`it needs ${name}@${version} of ${library}`);
    }
  }
  if (!imports.some(({ name }) => NODE_SYMBOL.test(name))) faults.push('it is not an addon');
  const left = sections.filter((section) => /^\.(debug_|symtab$)/.test(section));
  if (left.length > 0) faults.push(`it is not stripped: ${left.join(', ')}`);
  return faults;
}

/** The processor of a file, if the file is for that system. */
const readCpu = {
  darwin: (bytes) => bytes.readUInt32LE(0) === MACH_O_64 && MACH_O_CPU[bytes.readUInt32LE(4)],
  linux: (bytes) => readElf(bytes).cpu,
  win32(bytes) {
    if (bytes.toString('latin1', 0, 2) !== 'MZ') return undefined;
    return PE_CPU[bytes.readUInt16LE(bytes.readUInt32LE(0x3c) + 4)];
  },
};

/** The faults of the binary, as sentences. */
function binaryFaults(bytes, name) {
  const { os, cpu, libc } = targets[name];
  const found = readCpu[os](bytes) || 'something else';
  if (found !== cpu) return [`it is for ${found}, not for ${os} on ${cpu}`];
  return os === 'linux' ? linuxFaults(readElf(bytes), libc) : [];
}

function checkBinary(bytes, name) {
  const faults = binaryFaults(bytes, name);
  if (faults.length > 0) {
    const ceiling = targets[name].libc === 'glibc' ? ` with glibc ${OLDEST_GLIBC}` : '';
    throw new Error(`not suitable for every ${name}${ceiling}:\n${faults.join('\n')}`);
  }
}

module.exports = { binaryFaults, checkBinary };
