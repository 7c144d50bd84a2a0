'use strict';

// Holds the documents to the code: links lead somewhere, examples compile, commands exist, the
// README's tables name exactly what index.d.ts declares, and there is one version everywhere. With
// `--write` the line numbers in "The way of a token" are brought up to date first.

const { spawnSync } = require('node:child_process');
const fs = require('node:fs');
const os = require('node:os');
const path = require('node:path');
const ts = require('typescript');
const { changelogFaults } = require('./changelog.js');
const { root } = require('./run.js');
const { checkTokenWay } = require('./token-way.js');
const { versionFaults } = require('./versions.js');

const documents = ['README.md', 'MIGRATION.md', 'CHANGELOG.md', 'CONTRIBUTING.md', 'SECURITY.md'];
const longestReadme = 200;
const read = (file) => fs.readFileSync(path.join(root, file), 'utf8');

/** The text without fenced blocks, lines kept. */
function prose(text) {
  let fenced = false;
  return text
    .split('\n')
    .map((line) => {
      if (line.startsWith('```')) {
        fenced = !fenced;
        return '';
      }
      return fenced ? '' : line;
    })
    .join('\n');
}

/** The anchors of a document's headings, as its hosting renders them. */
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
    if (!fs.existsSync(path.join(root, there))) faults.push(`${file}: no such file: ${target}`);
    else if (anchor !== undefined && !anchors(read(there)).includes(anchor)) {
      faults.push(`${file}: no such heading: ${target}`);
    }
  }
  return faults;
}

function exampleFaults(file, text) {
  const faults = [];
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'keycloak-token-manager-'));
  try {
    for (const [block, code] of text.matchAll(/^```js\n(.*?)^```$/gms)) {
      // An example may await unless it uses `require`.
      const end = code.includes('require(') ? 'cjs' : 'mjs';
      const example = path.join(folder, `example.${end}`);
      fs.writeFileSync(example, code);
      const { status, stderr } = spawnSync(process.execPath, ['--check', example]);
      if (status !== 0) faults.push(`${file}: does not compile: ${block}\n${stderr}`);
    }
  } finally {
    fs.rmSync(folder, { recursive: true, force: true });
  }
  return faults;
}

function commandFaults(file, text) {
  const { scripts } = JSON.parse(read('package.json'));
  return [...text.matchAll(/\bnpm run ([\w:-]+)/g)]
    .filter(([, script]) => !Object.hasOwn(scripts, script))
    .map(([command]) => `${file}: no such command: ${command}`);
}

/** The rows of the table below a heading: the name in the first cell, the others as they are. */
function tableRows(text, heading) {
  const [, section = ''] = text.split(new RegExp(`^## ${heading}$`, 'm'));
  return [...section.split(/^## /m)[0].matchAll(/^\| `([\w.[\]]+)[^`]*` \|(.*)\|$/gm)].map(
    ([, name, others]) => ({ name, cells: others.split('|').map((cell) => cell.trim()) }),
  );
}

/** Whether it is called as a method; one that works detached is declared as a property. */
function isMethod(member) {
  const isFunction = ts.isPropertyDeclaration(member) && ts.isFunctionTypeNode(member.type);
  return isFunction || ts.isMethodDeclaration(member);
}

/** What index.d.ts declares, with the comments: options, methods and codes. */
function declared() {
  const source = ts.createSourceFile(
    'index.d.ts',
    read('index.d.ts'),
    ts.ScriptTarget.ES2022,
    true,
  );
  const find = (name) => source.statements.find((statement) => statement.name?.text === name);
  const members = (name, isWanted) =>
    find(name)
      .members.filter(isWanted)
      .map((member) => ({ name: member.name.getText(source), text: member.getFullText(source) }));
  const { type: codes } = find('KeycloakTokenErrorCode');
  return {
    Options: members('KeycloakTokenManagerOptions', ts.isPropertySignature),
    Methods: members('KeycloakTokenManager', isMethod),
    // The comment stands before the bar of the union.
    Errors: codes.types.map(({ literal, end }, at) => ({
      name: literal.text,
      text: source.text.slice(at === 0 ? codes.pos : codes.types[at - 1].end, end),
    })),
  };
}

/** Whether a row says the same as the comment in index.d.ts. */
const agrees = {
  Options({ cells: [, value] }, { text }) {
    const isOptional = /^\s*\w+\?:/m.test(text);
    if (value === 'required') return !isOptional;
    if (value === '' || value === 'none') return isOptional && !/default:? (?!no|to )/i.test(text);
    const [, stated] = /default:? (`\w+`|\w+)/i.exec(text) ?? [];
    return isOptional && stated === value;
  },
  Methods: () => true,
  Errors({ cells: [, value] }, { text }) {
    if (value === 'no') return text.includes('Not retryable.');
    if (value === 'yes') return text.includes('Retryable.');
    return text.includes(`Retryable for ${value.replace(/, (\w+)$/, ' and $1')}.`);
  },
};

function tableFaults(readme) {
  const faults = [];
  for (const [heading, entries] of Object.entries(declared())) {
    const rows = tableRows(readme, heading);
    const isRow = ({ name }) => rows.filter((row) => row.name === name).length === 1;
    const isEntry = ({ name }) => entries.some((entry) => entry.name === name);
    const complain = (what, list) => {
      if (list.length === 0) return;
      faults.push(`README.md: ${heading}: ${what}: ${list.map(({ name }) => name).join(', ')}`);
    };
    if (entries.length === 0) faults.push(`index.d.ts: no ${heading} were found`);
    complain(
      'missing or twice',
      entries.filter((entry) => !isRow(entry)),
    );
    complain(
      'unknown',
      rows.filter((row) => !isEntry(row)),
    );
    complain(
      'not as in index.d.ts',
      rows.filter((row) => {
        const entry = entries.find(({ name }) => name === row.name);
        return entry !== undefined && !agrees[heading](row, entry);
      }),
    );
  }
  return faults;
}

/** Codes, and OAuth errors for which src/manager/error.rs has advice, without a row of their own. */
function troubleshootingFaults(text) {
  const [, section = ''] = text.split(/^## Troubleshooting$/m);
  const [, advice = ''] = read('src/manager/error.rs').split('fn oauth_advice');
  const known = [...advice.matchAll(/^ {8}"(\w+)"/gm)].map(([, name]) => name);
  const codes = declared().Errors.map(({ name }) => name);
  if (known.length === 0) return ['src/manager/error.rs: no OAuth errors were found'];
  return [...known, ...codes]
    .filter((name) => !new RegExp(`^(\\| \`|### )${name}\\b`, 'm').test(section))
    .map((name) => `MIGRATION.md: Troubleshooting: missing: ${name}`);
}

const readIfThere = (file) => (fs.existsSync(path.join(root, file)) ? read(file) : undefined);
if (process.argv.includes('--write')) {
  const { text } = checkTokenWay(read('CONTRIBUTING.md'), readIfThere);
  fs.writeFileSync(path.join(root, 'CONTRIBUTING.md'), text);
}
const faults = documents.flatMap((file) => {
  const text = read(file);
  return [...linkFaults(file, text), ...exampleFaults(file, text), ...commandFaults(file, text)];
});
const readme = read('README.md');
faults.push(...tableFaults(readme), ...troubleshootingFaults(read('MIGRATION.md')));
faults.push(...checkTokenWay(read('CONTRIBUTING.md'), readIfThere).faults);
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
