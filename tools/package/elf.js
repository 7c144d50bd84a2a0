'use strict';

// Reads the requirements of a 64-bit little-endian ELF file: the libraries, and the symbols with
// their versions. See elf(5).

const MACHINES = { 62: 'x64', 183: 'arm64' };
const UNDEFINED_SECTION = 0;
const WEAK = 2;

/** A zero-terminated string. */
function text(bytes, at) {
  return bytes.toString('latin1', at, bytes.indexOf(0, at));
}

function sections(bytes) {
  const at = Number(bytes.readBigUInt64LE(0x28));
  const size = bytes.readUInt16LE(0x3a);
  const list = Array.from({ length: bytes.readUInt16LE(0x3c) }, (_, index) => {
    const header = bytes.subarray(at + index * size, at + (index + 1) * size);
    const offset = Number(header.readBigUInt64LE(0x18));
    return {
      name: header.readUInt32LE(0),
      content: bytes.subarray(offset, offset + Number(header.readBigUInt64LE(0x20))),
    };
  });
  const { content: names } = list[bytes.readUInt16LE(0x3e)];
  return new Map(list.map(({ name, content }) => [text(names, name), content]));
}

/** The versions and their libraries, by the number by which a symbol refers to them. */
function versions(table = Buffer.alloc(0), strings) {
  const found = new Map();
  for (let at = 0, next = table.length > 0 ? -1 : 0; next !== 0; at += next) {
    const library = text(strings, table.readUInt32LE(at + 4));
    let entry = at + table.readUInt32LE(at + 8);
    for (let left = table.readUInt16LE(at + 2); left > 0; left -= 1) {
      const version = text(strings, table.readUInt32LE(entry + 8));
      found.set(table.readUInt16LE(entry + 6), { version, library });
      entry += table.readUInt32LE(entry + 12);
    }
    next = table.readUInt32LE(at + 12);
  }
  return found;
}

function libraries(dynamic, strings) {
  const NEEDED = 1n;
  const names = [];
  for (let at = 0; at < dynamic.length; at += 16) {
    if (dynamic.readBigUInt64LE(at) === NEEDED) {
      names.push(text(strings, Number(dynamic.readBigUInt64LE(at + 8))));
    }
  }
  return names;
}

/**
 * Returns of a shared library: `cpu`, `needed` libraries, `imports` as
 * `{ name, isWeak, version?, library? }`, and the names of its `sections`.
 */
function readElf(bytes) {
  if (bytes.toString('latin1', 0, 6) !== '\x7fELF\x02\x01')
    throw new Error('not a 64-bit ELF file');
  const all = sections(bytes);
  const strings = all.get('.dynstr');
  const symbols = all.get('.dynsym');
  const versionOf = all.get('.gnu.version');
  const known = versions(all.get('.gnu.version_r'), strings);
  const imports = [];
  for (let index = 1; index * 24 < symbols.length; index += 1) {
    const at = index * 24;
    if (symbols.readUInt16LE(at + 6) !== UNDEFINED_SECTION) continue;
    const name = text(strings, symbols.readUInt32LE(at));
    const isWeak = symbols[at + 4] >> 4 === WEAK;
    imports.push({ name, isWeak, ...known.get(versionOf?.readUInt16LE(index * 2) & 0x7fff) });
  }
  return {
    cpu: MACHINES[bytes.readUInt16LE(0x12)],
    needed: libraries(all.get('.dynamic'), strings),
    imports,
    sections: [...all.keys()],
  };
}

module.exports = { readElf };
