'use strict';

// Writes the THIRD-PARTY.txt of a platform package: all parts that the linker puts into the binary,
// with their licences. If several parts share a text, the file contains it only once.

const fs = require('node:fs');
const path = require('node:path');
const { pinnedProgram } = require('../pinned-program.js');
const { root, run } = require('../run.js');
const { targets } = require('./targets.js');

const IS_TEXT = /^(licen[cs]e|copying|copyright|notice|unlicense)/i;
const UNDERLINE = '-'.repeat(72);

/**
 * Crates without a licence text, each with the file that contains the licence text of its
 * repository.
 */
const elsewhere = {
  napi: 'node_modules/@napi-rs/cli/LICENSE',
  'napi-sys': 'node_modules/@napi-rs/cli/LICENSE',
};
/** Crates of the standard library that the compiler's notices do not list. */
const withoutNotice = {
  addr2line: 'Apache-2.0 OR MIT',
  adler2: '0BSD OR MIT OR Apache-2.0',
  memchr: 'Unlicense OR MIT',
  miniz_oxide: 'MIT OR Zlib OR Apache-2.0',
  object: 'Apache-2.0 OR MIT',
};
const OF_THE_STANDARD_LIBRARY =
  /^(alloc|core|panic_\w+|proc_macro|rustc_std_.+|std(_detect)?|sysroot|test|unwind|\w+_builtins)$/;

const read = (file) => fs.readFileSync(file, 'utf8');
/** Replaces the dashes in a crate's name with underscores, as the compiler does. */
const underscored = (name) => name.replaceAll('-', '_');

function crateEntry({ name, version, license, manifest_path }) {
  const folder = path.dirname(manifest_path);
  const own = fs.readdirSync(folder).filter((file) => IS_TEXT.test(file));
  const files = own.sort().map((file) => path.join(folder, file));
  if (files.length === 0 && elsewhere[name]) files.push(path.join(root, elsewhere[name]));
  return { name, version, licence: license, texts: files.map(read) };
}

function plain(html) {
  const named = { amp: '&', gt: '>', lt: '<', quot: '"' };
  return html
    .replace(/<[^>]+>/g, '')
    .replace(/&#(\d+);/g, (_, code) => String.fromCodePoint(Number(code)))
    .replace(/&(amp|gt|lt|quot);/g, (_, name) => named[name]);
}

/** Returns the entries for the standard library and its crates, from the compiler's notices. */
async function standardLibrary(name, crates) {
  const sysroot = (await run('rustc', ['--print', 'sysroot'], { capture: true })).trim();
  const version = (await run('rustc', ['--version'], { capture: true })).split(' ')[1];
  const folder = path.join(sysroot, 'share', 'doc', 'rust');
  const [own, ...others] = read(path.join(folder, 'COPYRIGHT-library.html')).split('<h3>📦 ');
  const licence = (title) => read(path.join(folder, 'licenses', `${title}.txt`));
  const holders = own.match(/(?<=<b>Copyright:<\/b> ).*?(?=<\/p>)/g).map(plain);
  const noticed = new Map(
    others.map((part) => {
      const [, crate, number] = /^(.+?)-(\d[^<]*)<\/h3>/.exec(part);
      const [expression] = /(?<=<b>License:<\/b> ).*?(?=<\/p>)/.exec(part);
      const texts = part.match(/(?<=<pre>\n?).*?(?=<\/pre>)/gs) ?? [];
      const entry = { name: crate, version: number, licence: plain(expression) };
      return [underscored(crate), { ...entry, texts: texts.map(plain) }];
    }),
  );
  const entries = fs
    .readdirSync(path.join(sysroot, 'lib', 'rustlib', targets[name].triple, 'lib'))
    .map((file) => /^lib(\w+)-[0-9a-f]+\.rlib$/.exec(file)?.[1])
    .filter((crate) => crate !== undefined && !OF_THE_STANDARD_LIBRARY.test(crate))
    .sort()
    .map((crate) => {
      if (noticed.has(crate)) return noticed.get(crate);
      const expression = withoutNotice[crate] ?? '';
      const same = crates.find((linked) => linked.name === crate)?.texts ?? [];
      const texts = expression.includes('Apache-2.0') ? [licence('Apache-2.0')] : same;
      return { name: crate, version: `of Rust ${version}`, licence: expression, texts };
    });
  const texts = [
    `Copyright holders:\n${[...new Set(holders)].join('\n')}\n`,
    ...['MIT', 'Apache-2.0', 'LLVM-exception', 'Unicode-3.0', 'BSD-2-Clause'].map(licence),
  ];
  const licences = '(MIT OR Apache-2.0) AND Unicode-3.0 AND BSD-2-Clause';
  return [{ name: 'Rust standard library', version, licence: licences, texts }, ...entries];
}

/** Returns the parts that the linker adds on Linux: the unwinder and the compiler's runtime. */
async function linkerParts() {
  const folder = path.join(path.dirname(await pinnedProgram('cargo-zigbuild')), '..', 'lib');
  const [python] = fs.readdirSync(folder);
  const zig = path.join(folder, python, 'site-packages', 'ziglang');
  const [, version] = /^ziglang==(\S+)/m.exec(read(path.join(root, 'tools', 'cargo-zigbuild.txt')));
  return [
    {
      name: 'Zig, compiler runtime',
      version,
      licence: 'MIT',
      texts: [read(path.join(zig, 'LICENSE'))],
    },
    {
      name: 'LLVM libunwind',
      version: `of Zig ${version}`,
      licence: 'Apache-2.0 WITH LLVM-exception',
      texts: [read(path.join(zig, 'lib', 'libunwind', 'LICENSE.TXT'))],
    },
  ];
}

function render(title, entries) {
  const numbers = new Map();
  const texts = [];
  const numberOf = (text) => {
    const key = text.replace(/\s+/g, ' ').trim();
    if (!numbers.has(key)) {
      texts.push(text.replace(/[ \t]+$/gm, '').replace(/^\n+|\s+$/g, ''));
      numbers.set(key, texts.length);
    }
    return numbers.get(key);
  };
  const lines = entries.map(
    ({ name, version, licence, texts: own }) =>
      `${name} ${version}: ${licence} (${own.map(numberOf).join(', ')})`,
  );
  const blocks = texts.map((text, index) => `${UNDERLINE}\n(${index + 1})\n\n${text}\n`);
  return `${title}\n\n${lines.join('\n')}\n\n${blocks.join('\n')}`;
}

/**
 * Returns the text for a target. Throws if a linked part has no licence text, or if the debug
 * symbols name a crate without an entry.
 */
async function thirdParty(name, linked, symbols) {
  const crates = linked.slice(1).map(crateEntry);
  crates.sort((one, other) => (one.name < other.name ? -1 : 1));
  const entries = [...crates, ...(await standardLibrary(name, crates))];
  if (targets[name].os === 'linux') entries.push(...(await linkerParts()));
  const bare = entries.filter(({ texts }) => texts.length === 0);
  if (bare.length > 0) throw new Error(`no licence text for ${bare.map((entry) => entry.name)}`);
  // The debug symbols name the folders of the sources.
  const folders = /(?<=\/(?:crates|rust\/deps)\/)[\w-]+?(?=-\d+\.\d+\.\d+)/g;
  const known = new Set([linked[0], ...entries].map((entry) => underscored(entry.name)));
  const named = new Set(symbols.toString('latin1').match(folders));
  const missing = [...named].filter((crate) => !known.has(underscored(crate)));
  if (missing.length > 0) throw new Error(`linked without a licence text: ${missing}`);
  return render(
    'The binary in this package contains the following. Numbers in brackets name the texts below.',
    entries,
  );
}

module.exports = { thirdParty };
