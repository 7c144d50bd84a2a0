'use strict';

// Compares `api.md` with the public types, without comments and in a fixed order and layout, so
// that a diff of that file shows every change of the API. The script fails if the file is out of
// date. `--write` updates the file.

const assert = require('node:assert/strict');
const fs = require('node:fs');
const path = require('node:path');
const ts = require('typescript');
const { root } = require('./run.js');

const REPORT = 'api.md';
const INTRODUCTION = `# API

The API that [semantic versioning](CONTRIBUTING.md#what-a-version-promises) covers. \`npm run api\`
writes it from the types. Describe every change of it in the [changelog](CHANGELOG.md).
`;
const read = (file) => fs.readFileSync(path.join(root, file), 'utf8');

const isImport = (statement) => ts.isImportDeclaration(statement);
const isExported = (statement) =>
  statement.modifiers?.some(({ kind }) => kind === ts.SyntaxKind.ExportKeyword) ?? false;
const nameOf = ({ name, declarationList }) => (name ?? declarationList.declarations[0].name).text;

/** Returns the declarations of one file, ordered by name. */
function declarations(file, text) {
  const source = ts.createSourceFile(file, text, ts.ScriptTarget.Latest, true);
  const unknown = source.statements.filter((entry) => !isImport(entry) && !isExported(entry));
  if (unknown.length > 0) {
    throw new Error(`${file}: expected an import or an export: ${unknown[0].getText(source)}`);
  }
  const printer = ts.createPrinter({ removeComments: true });
  const print = (entry) => printer.printNode(ts.EmitHint.Unspecified, entry, source);
  const exported = source.statements.filter(isExported);
  return [
    ...source.statements.filter(isImport).map(print).sort(),
    // Overloads keep their order.
    ...exported.sort((a, b) => (nameOf(a) < nameOf(b) ? -1 : nameOf(a) > nameOf(b))).map(print),
  ].join('\n');
}

/** Returns the report for a manifest; `readTypes` returns the text of a file. */
function apiReport({ name, engines, exports, peerDependencies }, readTypes) {
  const parts = [INTRODUCTION];
  const list = { node: engines.node, ...peerDependencies };
  parts.push('## Supported\n');
  parts.push(...Object.entries(list).map(([what, range]) => `- \`${what}\`: \`${range}\``), '');
  for (const [entry, { types }] of Object.entries(exports)) {
    parts.push(`## \`${path.posix.join(name, entry)}\`\n`);
    if (types === undefined) parts.push('No types.\n');
    else parts.push(`\`\`\`ts\n${declarations(types, readTypes(types))}\n\`\`\`\n`);
  }
  return `${parts.join('\n').trimEnd()}\n`;
}

function main(isToWrite) {
  const report = apiReport(JSON.parse(read('package.json')), read);
  if (isToWrite) {
    fs.writeFileSync(path.join(root, REPORT), report);
    return;
  }
  try {
    assert.equal(read(REPORT), report);
  } catch ({ message }) {
    console.error(
      `${REPORT} does not describe the public API. If the change is intended, run \`npm run api\`, ` +
        `describe it for users in CHANGELOG.md and commit both files.\n\n${message}`,
    );
    process.exitCode = 1;
  }
}

module.exports = { apiReport };

if (require.main === module) main(process.argv.includes('--write'));
