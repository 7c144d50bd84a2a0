'use strict';

// Compares the documents with the code. It checks that links are valid, examples compile, YAML and
// JSON parse, commands exist, every export has an example, all option tables agree with
// options.json, the README's other tables match the declarations in index.d.ts, and all files have
// the same version.

const fs = require('node:fs');
const path = require('node:path');
const yaml = require('js-yaml');
const ts = require('typescript');
const { changelogFaults } = require('./changelog.js');
const examples = require('./examples.js');
const { optionFaults, readTable } = require('./options.js');
const { root } = require('./run.js');
const { tokenWayFaults } = require('./token-way.js');
const { versionFaults } = require('./versions.js');

const longestReadme = 200;
const adviceFile = 'crates/manager/src/error/advice.rs';
const read = (file) => fs.readFileSync(path.join(root, file), 'utf8');

/** Removes the fenced blocks from a text. */
const prose = (text) => text.replace(/^```.*?^```$/gms, '');

/** Returns the anchors of a document's headings, in the form that the hosting service generates. */
function anchors(text) {
  return [...prose(text).matchAll(/^#+ (.+)$/gm)].map(([, heading]) =>
    heading
      .toLowerCase()
      .replace(/[^\p{L}\p{N}\s_-]/gu, '')
      .trim()
      .replace(/\s/g, '-'),
  );
}

function linkFaults(file, text) {
  const faults = [];
  for (const [, target] of prose(text).matchAll(/\]\(([^)\s]+)\)/g)) {
    if (/^[a-z]+:/.test(target)) continue;
    const [to, anchor] = target.split('#');
    const there = to === '' ? file : path.join(path.dirname(file), to);
    if (!fs.existsSync(path.join(root, there))) faults.push(`${file}: missing file: ${target}`);
    else if (anchor !== undefined && !anchors(read(there)).includes(anchor)) {
      faults.push(`${file}: missing heading: ${target}`);
    }
  }
  return faults;
}

const parsers = { json: JSON.parse, yaml: (text) => yaml.load(text) };

/** Returns the parse errors of a document's blocks. */
function dataFaults(file, text) {
  return examples.blocksOf(file, text).flatMap(({ language, line, code }) => {
    try {
      parsers[language]?.(code);
      return [];
    } catch (error) {
      return [`${file}:${line}: ${error.message}`];
    }
  });
}

function commandFaults(file, text) {
  const { scripts } = JSON.parse(read('package.json'));
  return [...text.matchAll(/\bnpm run ([\w:-]+)/g)]
    .filter(([, script]) => !Object.hasOwn(scripts, script))
    .map(([command]) => `${file}: unknown command: ${command}`);
}

/**
 * Returns the rows of the table below a heading: the name from the first cell, and the other cells.
 */
function tableRows(text, heading) {
  const [, section = ''] = text.split(new RegExp(`^## ${heading}$`, 'm'));
  return [...section.split(/^## /m)[0].matchAll(/^\| `([\w.[\]]+)[^`]*` \|(.*)\|$/gm)].map(
    ([, name, others]) => ({ name, cells: others.split('|').map((cell) => cell.trim()) }),
  );
}

/**
 * Whether callers use a member as a method. The types declare such a member as a property if the
 * method also works without its object.
 */
function isMethod(member) {
  const isFunction = ts.isPropertyDeclaration(member) && ts.isFunctionTypeNode(member.type);
  return isFunction || ts.isMethodDeclaration(member);
}

/** Returns the methods that index.d.ts declares, and the error codes with their comments. */
function declared() {
  const text = read('index.d.ts');
  const source = ts.createSourceFile('index.d.ts', text, ts.ScriptTarget.ES2022, true);
  const manager = source.statements.find(({ name }) => name?.text === 'KeycloakTokenManager');
  const methods = manager.members.filter(isMethod);
  const codes = text.matchAll(/\/\*\*((?:(?!\*\/).)*)\*\/\s*\| '(ERR_\w+)'/gs);
  return {
    methods: methods.map((member) => ({ name: member.name.getText(source) })),
    errors: Array.from(codes, ([, comment, name]) => ({ name, text: comment })),
  };
}

/** Whether the row of an error agrees with the comment in index.d.ts about retries. */
function isSameAdvice({ cells: [, value] }, { text }) {
  if (value === 'no') return text.includes('Not retryable.');
  if (value === 'yes') return text.includes('Retryable.');
  const sentence = text.replace(/\s*\n\s*\*\s*/g, ' ');
  return sentence.includes(`Retryable for ${value.replace(/, (`?\w+`?)$/, ' and $1')}.`);
}

/** Returns the differences between a table of the README and the declarations. */
function tableFaults(readme, heading, entries, agrees = () => true) {
  const rows = tableRows(readme, heading);
  const [shown, known] = [rows, entries].map((list) => list.map(({ name }) => name).sort());
  if (known.length === 0 || shown.join() !== known.join()) {
    return [`README.md: ${heading}: ${shown}; declared in index.d.ts: ${known}`];
  }
  const declaredAs = (row) => entries.find(({ name }) => name === row.name);
  return rows
    .filter((row) => !agrees(row, declaredAs(row)))
    .map(({ name }) => `README.md: ${heading}: ${name}: index.d.ts differs`);
}

/**
 * Finds the error codes without a row of their own, and the OAuth errors for which the package has
 * advice but the table has no row.
 */
function troubleshootingFaults(text) {
  const [, section = ''] = text.split(/^## Troubleshooting$/m);
  const [, advice = ''] = read(adviceFile).split('fn oauth_advice');
  const known = [...advice.matchAll(/^ {8}"(\w+)"/gm)].map(([, name]) => name);
  const codes = declared().errors.map(({ name }) => name);
  if (known.length === 0) return [`${adviceFile}: expected advice for OAuth errors`];
  return [...known, ...codes]
    .filter((name) => !new RegExp(`^(\\| \`|### )${name}\\b`, 'm').test(section))
    .map((name) => `docs/errors.md: Troubleshooting: ${name} is missing`);
}

const documents = examples.documents();
const faults = documents.flatMap((file) => {
  const text = read(file);
  return [...linkFaults(file, text), ...dataFaults(file, text), ...commandFaults(file, text)];
});
for (const file of examples.TYPES) {
  const names = examples.exportsWithoutExample(file);
  faults.push(...names.map((name) => `${file}: ${name} has no @example`));
}
// The tests of the Backstage module compile the code that needs Backstage.
const isHere = (block) => !examples.needsBackstage(block);
faults.push(...examples.compile(examples.allExamples().filter(isHere)));
const readme = read('README.md');
const { methods, errors } = declared();
faults.push(
  ...optionFaults(readTable(), read),
  ...tableFaults(readme, 'Methods', methods),
  ...tableFaults(readme, 'Errors', errors, isSameAdvice),
  ...troubleshootingFaults(read('docs/errors.md')),
);
faults.push(...tokenWayFaults(read('CONTRIBUTING.md'), read));
const { version } = JSON.parse(read('package.json'));
faults.push(...versionFaults(read), ...changelogFaults(read('CHANGELOG.md'), version));
const lines = readme.trimEnd().split('\n').length;
if (lines > longestReadme) faults.push(`README.md: ${lines} lines, at most ${longestReadme}`);

if (faults.length > 0) {
  console.error(faults.join('\n'));
  process.exitCode = 1;
} else {
  console.log(`${documents.length} documents agree with the code.`);
}
