'use strict';

// `node tools/count-lines.js` counts the lines of code of the product and of its scaffolding,
// without blank lines and comments. Tests in a file of the product count as scaffolding. The script
// does not count types (`.d.ts`), data or generated files.

const { execFileSync } = require('node:child_process');
const fs = require('node:fs');
const path = require('node:path');
const ts = require('typescript');
const { root } = require('./run.js');

const LONG_FILE = 350;
const PRODUCT =
  /^((src|crates\/(?!stand-ins\/)[^/]+\/src)\/(?!.*(_|\/)tests(\.rs$|\/))|lib\/|index\.js$)/;
const SCAFFOLDING = /^(crates\/[^/]+\/)?(src|tests|__test__|tools|bench|benches|examples|fuzz)\//;
// Matches comments and literals, because comment markers and braces have no meaning inside them.
const RUST_TOKEN =
  /\/\/.*|\/\*[\s\S]*?\*\/|\bb?r(#*)"[\s\S]*?"\1|"(?:\\[\s\S]|[^"\\])*"|'(?:\\u\{\w+\}|\\x\w\w|\\.|[^\\'\n])'/gu;

const countLines = (text) => text.split('\n').filter((line) => line.trim() !== '').length;

/** Counts the lines of a Rust file, and separately the lines of its tests. */
function rustLines(text) {
  const rest = text.replace(RUST_TOKEN, (token) =>
    token.replace(/\S/g, /^\/[/*]/.test(token) ? ' ' : '_'),
  );
  // An item ends with a semicolon, or with the brace that closes it.
  const endOfItem = (start) => {
    let depth = 0;
    for (const { 0: sign, index } of rest.slice(start).matchAll(/[{};]/g)) {
      depth += { '{': 1, '}': -1, ';': 0 }[sign];
      if (depth === 0) return start + index + 1;
    }
    return rest.length;
  };
  let product = '';
  let end = 0;
  for (const { index } of rest.matchAll(/#\[cfg\(test\)\]/g)) {
    if (index < end) continue;
    product += rest.slice(end, index);
    end = endOfItem(index);
  }
  const lines = countLines(product + rest.slice(end));
  return { code: lines, tests: countLines(rest) - lines };
}

/** Counts the lines of a JavaScript or TypeScript file that contain a token. */
function scriptLines(text) {
  const source = ts.createSourceFile('file.ts', text, ts.ScriptTarget.Latest, true);
  const lines = new Set();
  const visit = (node) => {
    if (ts.isJSDoc(node)) return;
    const children = node.getChildren(source);
    for (const child of children) visit(child);
    if (children.length > 0) return;
    const { line } = source.getLineAndCharacterOfPosition(node.getStart(source));
    for (const [at, part] of node.getText(source).split('\n').entries()) {
      if (part.trim() !== '') lines.add(line + at);
    }
  };
  visit(source);
  return lines.size;
}

/**
 * Counts the lines of Rust and of JavaScript, and finds the files of the product that are too long.
 */
function countTree(files, read) {
  const [product, scaffolding, long] = [[0, 0], [0, 0], []];
  for (const file of files) {
    const isProduct = PRODUCT.test(file);
    if (!isProduct && !SCAFFOLDING.test(file)) continue;
    if (!/\.(rs|[cm]?[jt]s)$/.test(file) || /\.d\.[cm]?ts$/.test(file)) continue;
    const isRust = file.endsWith('.rs');
    const { code, tests = 0 } = isRust ? rustLines(read(file)) : { code: scriptLines(read(file)) };
    (isProduct ? product : scaffolding)[isRust ? 0 : 1] += code;
    scaffolding[isRust ? 0 : 1] += tests;
    if (isProduct && code > LONG_FILE) long.push([file, code]);
  }
  return { product, scaffolding, long };
}

if (require.main === module) {
  const files = execFileSync('git', ['ls-files'], { cwd: root, encoding: 'utf8' }).split('\n');
  const read = (file) => fs.readFileSync(path.join(root, file), 'utf8');
  const { long, ...parts } = countTree(files, read);
  for (const [name, [rust, script]] of Object.entries(parts)) {
    console.log(`${name}: ${rust} Rust + ${script} JavaScript = ${rust + script} lines`);
  }
  console.log(`${long.length} files of the product have more than ${LONG_FILE} lines`);
  for (const [file, lines] of long) console.log(`  ${file.padEnd(40)} ${lines}`);
}

module.exports = { countTree, rustLines, scriptLines };
