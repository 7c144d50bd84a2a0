'use strict';

// Finds the code in documents and the `@example` blocks in doc comments, and compiles both with
// this project's strict options. `__test__/backstage/types.test.js` compiles the code that needs
// Backstage's types, and `__test__/examples.test.js` runs the examples that can run here.

const fs = require('node:fs');
const path = require('node:path');
const ts = require('typescript');
const { root } = require('./run.js');

/** The names that examples use without declaring them. */
const GLOBALS = path.join(__dirname, 'example-globals.d.ts');
const ROOT_DOCUMENTS = ['README', 'MIGRATION', 'CHANGELOG', 'CONTRIBUTING', 'SECURITY'];
const TYPES = [
  'index.d.ts',
  'lib/testing/index.d.ts',
  'lib/store/index.d.ts',
  'lib/opentelemetry/index.d.ts',
  'lib/backstage/index.d.ts',
];

const read = (file) => fs.readFileSync(path.join(root, file), 'utf8');

/** Returns the documents that people read, as paths from the root. */
function documents() {
  const pages = fs.readdirSync(path.join(root, 'docs')).filter((name) => name.endsWith('.md'));
  return [...ROOT_DOCUMENTS.map((name) => `${name}.md`), ...pages.map((name) => `docs/${name}`)];
}

/**
 * Returns the fenced blocks of a document.
 *
 * @returns {{ file: string, line: number, language: string, code: string }[]} `line` is the number
 *   of the first line of the code.
 */
function blocksOf(file, text = read(file)) {
  return [...text.matchAll(/^```(\w*)\n(.*?)^```$/gms)].map(({ 1: language, 2: code, index }) => ({
    file,
    language,
    code,
    line: text.slice(0, index).split('\n').length + 1,
  }));
}

/** Returns the fenced blocks in the comments of a type declaration file. */
const examplesOf = (file) => blocksOf(file, read(file).replace(/^ *\* ?/gm, ''));

/** Returns the exports of a type declaration file that have no example with code. */
function exportsWithoutExample(file) {
  const source = ts.createSourceFile(file, read(file), ts.ScriptTarget.ES2022, true);
  const isExample = (tag) => tag.tagName.text === 'example' && tag.getText(source).includes('```');
  return source.statements
    .filter((statement) => ts.getCombinedModifierFlags(statement) & ts.ModifierFlags.Export)
    .filter((statement) => !ts.getJSDocTags(statement).some(isExample))
    .map(({ name, declarationList }) => (name ?? declarationList.declarations[0].name).text);
}

const isCode = ({ language }) => ['js', 'ts'].includes(language);
const needsBackstage = ({ code }) =>
  /['"](@backstage|keycloak-token-manager\/backstage)/.test(code);

/** Returns the code blocks of all documents and doc comments. */
function allExamples() {
  const blocks = documents().flatMap((file) => blocksOf(file));
  return [...blocks, ...TYPES.flatMap((file) => examplesOf(file))].filter(isCode);
}

function compilerOptions() {
  const config = JSON.parse(read('tsconfig.json'));
  const own = { ...config.compilerOptions, noUnusedLocals: false, noUnusedParameters: false };
  // `await using` needs the types of a newer standard library.
  const { options } = ts.convertCompilerOptionsFromJson(
    { ...own, lib: ['es2022', 'esnext.disposable'] },
    root,
  );
  return { ...options, moduleDetection: ts.ModuleDetectionKind.Force };
}

/** Compiles each block as a module below the root, and returns the compiler's errors. */
function compile(blocks) {
  const folder = fs.mkdtempSync(path.join(root, '.examples-'));
  const files = new Map(blocks.map((block, at) => [path.join(folder, `${at}.mts`), block]));
  try {
    for (const [file, { code }] of files) fs.writeFileSync(file, code);
    const program = ts.createProgram([GLOBALS, ...files.keys()], compilerOptions());
    // The types of some packages that examples import compile only with browser types.
    const isOurs = ({ file }) => !file?.fileName.includes('/node_modules/');
    const diagnostics = ts.getPreEmitDiagnostics(program).filter(isOurs);
    return diagnostics.map(({ file, start, messageText }) => {
      const message = ts.flattenDiagnosticMessageText(messageText, '\n');
      const block = file && files.get(path.normalize(file.fileName));
      if (block === undefined) return `${file?.fileName ?? 'examples'}: ${message}`;
      const { line } = file.getLineAndCharacterOfPosition(start);
      return `${block.file}:${block.line + line}: ${message}`;
    });
  } finally {
    fs.rmSync(folder, { recursive: true });
  }
}

module.exports = {
  GLOBALS,
  TYPES,
  allExamples,
  blocksOf,
  compile,
  documents,
  exportsWithoutExample,
  needsBackstage,
};
