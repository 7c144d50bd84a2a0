'use strict';

// Checks that a binary needs no library or symbol that a supported system may lack. This module
// reads ELF files with readelf, which comes with the linker that Rust needs.

const { execFileSync } = require('node:child_process');
const fs = require('node:fs');
const { OLDEST_GLIBC, targets } = require('./targets.js');

const LIBRARIES = {
  glibc: /^(lib(c|m|dl|rt|pthread)\.so\.\d+|ld-linux-(x86-64|aarch64)\.so\.\d+)$/,
  musl: /^(libc\.so|libc\.musl-(x86_64|aarch64)\.so\.1)$/,
};
/** The symbols that Node provides. */
const NODE_SYMBOL = /^(napi|node_api|uv)_/;
const ELF_CPU = { 'Advanced Micro Devices X86-64': 'x64', AArch64: 'arm64' };
const MACH_O_64 = 0xfeedfacf;
const MACH_O_CPU = { 16777223: 'x64', 16777228: 'arm64' };
const PE_CPU = { 34404: 'x64', 43620: 'arm64' };

function readElf(file) {
  const args = ['--wide', '--file-header', '--dynamic', '--dyn-syms', '--section-headers', file];
  const env = { ...process.env, LC_ALL: 'C' };
  const text = execFileSync('readelf', args, { encoding: 'utf8', env, stdio: 'pipe' });
  const all = (pattern) => Array.from(text.matchAll(pattern), ([, ...parts]) => parts);
  const [[machine]] = all(/^ +Machine: +(.+)$/gm);
  return {
    cpu: ELF_CPU[machine],
    libraries: all(/\(NEEDED\) +Shared library: \[(.+)\]$/gm).flat(),
    /** The binding, name and version of each import. */
    imports: all(/ (GLOBAL|WEAK) +DEFAULT +UND (\w+)(?:@(\S+))?/g),
    debugSections: all(/^ +\[ *\d+\] (\.debug_\w+|\.symtab) /gm).flat(),
  };
}

function isNewer(version, limit) {
  const [major, minor = 0] = version.split('.').map(Number);
  const [limitMajor, limitMinor] = limit.split('.').map(Number);
  return major > limitMajor || (major === limitMajor && minor > limitMinor);
}

/**
 * Describes the requirements that a supported system may not meet, and the parts that must not be
 * in the file.
 */
function linuxFaults({ libraries, imports, debugSections }, libc) {
  const faults = libraries
    .filter((library) => !LIBRARIES[libc].test(library))
    .map((library) => `it needs ${library}`);
  for (const [binding, name, version] of imports) {
    if (version === undefined) {
      // The system may lack a weak symbol. Musl has no symbol versions.
      const isThere = libc === 'musl' || binding === 'WEAK' || NODE_SYMBOL.test(name);
      if (!isThere) faults.push(`it needs ${name}, which is in no library`);
      continue;
    }
    const [, number] = /^GLIBC_([\d.]+)$/.exec(version) ?? [];
    if (libc === 'musl' || number === undefined || isNewer(number, OLDEST_GLIBC)) {
      faults.push(`it needs ${name}@${version}`);
    }
  }
  if (!imports.some(([, name]) => NODE_SYMBOL.test(name))) faults.push('it is not an addon');
  if (debugSections.length > 0) faults.push(`it is not stripped: ${debugSections.join(', ')}`);
  return faults;
}

/** For each system, a function that returns the processor of a file that is for this system. */
const readCpu = {
  darwin(file) {
    const bytes = fs.readFileSync(file);
    return bytes.readUInt32LE(0) === MACH_O_64 && MACH_O_CPU[bytes.readUInt32LE(4)];
  },
  linux: (file) => readElf(file).cpu,
  win32(file) {
    const bytes = fs.readFileSync(file);
    if (bytes.toString('latin1', 0, 2) !== 'MZ') return undefined;
    return PE_CPU[bytes.readUInt16LE(bytes.readUInt32LE(0x3c) + 4)];
  },
};

/** Describes the faults of the binary. */
function binaryFaults(file, name) {
  const { os, cpu, libc } = targets[name];
  const found = readCpu[os](file) || 'another system';
  if (found !== cpu) return [`it is for ${found}, not for ${os} on ${cpu}`];
  return os === 'linux' ? linuxFaults(readElf(file), libc) : [];
}

function checkBinary(file, name) {
  const faults = binaryFaults(file, name);
  if (faults.length > 0) throw new Error(`not suitable for every ${name}:\n${faults.join('\n')}`);
}

module.exports = { binaryFaults, checkBinary };
