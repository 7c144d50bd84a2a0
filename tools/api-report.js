'use strict';

// The public types, without comments and in one order and layout, in `api.md`: a change of it in a
// diff is a change of what is promised. Fails if the file is out of date; `--write` brings it up
// to date. That the types compile is checked elsewhere.

const { spawnSync } = require('node:child_process');
const fs = require('node:fs');
const os = require('node:os');
const path = require('node:path');
const ts = require('typescript');
const { root } = require('./run.js');

const REPORT = 'api.md';
const INTRODUCTION = `# API

What [semantic versioning](CONTRIBUTING.md#what-a-version-promises) covers, generated from the types
by \`npm run api\`; a change here belongs into the [changelog](CHANGELOG.md).
`;
const read = (file) => fs.readFileSync(path.join(root, file), 'utf8');

const isImport = (statement) => ts.isImportDeclaration(statement);
const isExported = (statement) =>
  statement.modifiers?.some(({ kind }) => kind === ts.SyntaxKind.ExportKeyword) ?? false;
const nameOf = ({ name, declarationList }) => (name ?? declarationList.declarations[0].name).text;

/** The declarations of one file, by name. */
function declarations(file, text) {
  const source = ts.createSourceFile(file, text, ts.ScriptTarget.Latest, true);
  const unknown = source.statements.filter((entry) => !isImport(entry) && !isExported(entry));
  if (unknown.length > 0) {
    throw new Error(`${file}: neither an import nor exported: ${unknown[0].getText(source)}`);
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

/** The report for a manifest; `readTypes` gives a file's text. */
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

/** The difference between the file and the report, in the format of `git diff`. */
function difference(report) {
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'keycloak-token-manager-'));
  try {
    fs.writeFileSync(path.join(folder, REPORT), report);
    const files = [path.join(root, REPORT), path.join(folder, REPORT)];
    const args = ['diff', '--no-index', '--no-color', '--no-ext-diff', '--', ...files];
    const { stdout } = spawnSync('git', args, { encoding: 'utf8' });
    return stdout.slice(stdout.indexOf('@@'));
  } finally {
    fs.rmSync(folder, { recursive: true, force: true });
  }
}

function main(isToWrite) {
  const report = apiReport(JSON.parse(read('package.json')), read);
  const file = path.join(root, REPORT);
  if (isToWrite) {
    fs.writeFileSync(file, report);
  } else if (!fs.existsSync(file) || fs.readFileSync(file, 'utf8') !== report) {
    console.error(
      `The public API is not what ${REPORT} says. If that is meant, run \`npm run api\`, write ` +
        `what it means for users in CHANGELOG.md and commit both.\n\n${difference(report)}`,
    );
    process.exitCode = 1;
  }
}

module.exports = { apiReport };

if (require.main === module) main(process.argv.includes('--write'));
