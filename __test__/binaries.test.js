'use strict';

// The check that a binary requires only libraries that every supported system has.

const assert = require('node:assert/strict');
const { readFileSync, writeFileSync } = require('node:fs');
const path = require('node:path');
const { describe, it } = require('node:test');
const { binaryFaults } = require('../tools/package/check-binary.js');
const { findBinary } = require('../tools/package/platform-package.js');
const { ownTarget, targets } = require('../tools/package/targets.js');
const { makeFolder } = require('./support/files.js');

const own = ownTarget();
const file = path.join(__dirname, '..', findBinary(own));

/** Checks a file with this content and returns the faults. */
function faultsOf(t, bytes, name) {
  const copy = path.join(makeFolder(t), 'binary');
  writeFileSync(copy, bytes);
  return binaryFaults(copy, name);
}

describe('the check of binaries', () => {
  it('finds the processor of every kind of file', (t) => {
    const pe = Buffer.alloc(256);
    pe.write('MZ');
    pe.writeUInt32LE(128, 0x3c);
    pe.writeUInt16LE(0xaa64, 132);
    assert.deepEqual(faultsOf(t, pe, 'win32-arm64-msvc'), []);
    assert.match(faultsOf(t, pe, 'win32-x64-msvc')[0], /for arm64, not for win32 on x64/);
    const mach = Buffer.from('cffaedfe07000001', 'hex');
    assert.deepEqual(faultsOf(t, mach, 'darwin-x64'), []);
    assert.match(faultsOf(t, mach, 'darwin-arm64')[0], /for x64, not for darwin on arm64/);
    assert.match(faultsOf(t, mach, 'win32-x64-msvc')[0], /another system/);
    assert.throws(() => faultsOf(t, mach, 'linux-x64-gnu'), /readelf: Error/);
  });

  const skip = targets[own].os !== 'linux' && 'the file is not an ELF file';
  it('names foreign libraries, and symbols that are newer than the oldest supported glibc', {
    skip,
  }, (t) => {
    /** Returns the same file with other names of the same length. */
    const renamed = (...names) => {
      let text = readFileSync(file, 'latin1');
      for (const [from, to] of names) text = text.replaceAll(from, to);
      return Buffer.from(text, 'latin1');
    };
    const newer = renamed(['GLIBC_2.2.5', 'GLIBC_2.9.9'], ['GLIBC_2.14', 'GLIBC_2.44']);
    const faults = faultsOf(t, newer, own);
    assert.ok(faults.includes('it needs memcpy@GLIBC_2.44'), faults.join('\n'));
    assert.ok(!faults.some((fault) => fault.includes('2.9.9')));
    const other = renamed(['libc.so.6', 'libz.so.6']);
    assert.ok(faultsOf(t, other, own).includes('it needs libz.so.6'));
  });
});
