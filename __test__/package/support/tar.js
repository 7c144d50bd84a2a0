'use strict';

// Reads and writes the tar archives that npm packages are, as far as npm makes them.

const { gunzipSync, gzipSync } = require('node:zlib');

const BLOCK = 512;

const field = (header, at, length) => {
  const text = header.toString('utf8', at, at + length);
  return text.slice(0, text.indexOf('\0'));
};

/** File contents by path inside the package. */
function unpack(archive) {
  const bytes = gunzipSync(archive);
  const files = new Map();
  for (let at = 0; at + BLOCK <= bytes.length && bytes[at] !== 0; ) {
    const header = bytes.subarray(at, at + BLOCK);
    const size = Number.parseInt(field(header, 124, 12), 8);
    const name = [field(header, 345, 155), field(header, 0, 100)].filter(Boolean).join('/');
    files.set(name.replace(/^package\//, ''), bytes.subarray(at + BLOCK, at + BLOCK + size));
    at += BLOCK * (1 + Math.ceil(size / BLOCK));
  }
  return files;
}

function pack(files) {
  const blocks = Object.entries(files).flatMap(([name, text]) => {
    const content = Buffer.from(text);
    const header = Buffer.alloc(BLOCK);
    const number = (value, at, length) =>
      header.write(`${value.toString(8).padStart(length - 1, '0')}\0`, at);
    header.write(`package/${name}`, 0);
    number(0o644, 100, 8);
    number(0, 108, 8);
    number(0, 116, 8);
    number(content.length, 124, 12);
    number(0, 136, 12);
    header.write('        0', 148);
    header.write('ustar\x0000', 257);
    number(
      header.reduce((sum, byte) => sum + byte, 0),
      148,
      7,
    );
    const padding = Buffer.alloc((BLOCK - (content.length % BLOCK)) % BLOCK);
    return [header, content, padding];
  });
  return gzipSync(Buffer.concat([...blocks, Buffer.alloc(2 * BLOCK)]));
}

module.exports = { pack, unpack };
