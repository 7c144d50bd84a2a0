'use strict';

// Checks the section "The way of a token" of CONTRIBUTING.md against the code: every function and
// type in its tables must be defined in the given file and line, and their number is limited.

const HEADING = '## The way of a token';
const MOST_FUNCTIONS = 15;
const MOST_TYPES = 4;
const ROW = /^\| (?:(\d+) \| )?`([^`]+)` \| `([^`:]+):(\d+)` \|/;
const DEFINITIONS = [
  (name) => new RegExp(`\\b(fn|struct|enum|type|trait|class|function) ${name}\\b`),
  // A method, or a function in a constant. A call at the start of a line ends in a semicolon.
  (name) => new RegExp(`^ {2}(async |static )*${name}\\(.*\\{$|^const ${name} = `),
];

/**
 * The lines, counted from 1, that define `Type::function`, `Class.method` or an unqualified name.
 */
function definitionLines(text, qualified) {
  const [, owner, name] = /^(?:(\w+)(?:::|\.|(?=\[)))?(#?\w+|\[\w+\])$/.exec(qualified) ?? [];
  if (name === undefined) return [];
  const patterns = DEFINITIONS.map((make) => make(name.replace(/[[\]]/g, '\\$&')));
  const found = [];
  let around = '';
  for (const [index, line] of text.split('\n').entries()) {
    if (/^(impl|class|(pub )?trait)\b/.test(line)) around = line;
    const isThere = owner === undefined || new RegExp(`\\b${owner}\\b`).test(around);
    if (isThere && patterns.some((pattern) => pattern.test(line))) found.push(index + 1);
  }
  return found;
}

/**
 * The faults of the section, and the document with correct line numbers. `read` returns the text of
 * a file, or undefined.
 */
function checkTokenWay(document, read) {
  const faults = [];
  const counts = { functions: 0, types: 0 };
  const [before, section] = document.split(`${HEADING}\n`);
  if (section === undefined) return { faults: [`no section "${HEADING}"`], text: document };
  const [own, ...others] = section.split(/^(?=## )/m);
  const lines = own.split('\n').map((row) => {
    const [, step, name, file, line] = ROW.exec(row) ?? [];
    if (name === undefined) return row;
    counts[step === undefined ? 'types' : 'functions'] += 1;
    if (step !== undefined && Number(step) !== counts.functions)
      faults.push(`${name}: not step ${step}`);
    const found = definitionLines(read(file) ?? '', name);
    if (found.length !== 1) faults.push(`${name}: defined ${found.length} times in ${file}`);
    if (found.length !== 1 || found[0] === Number(line)) return row;
    faults.push(`${name}: on line ${found[0]} of ${file}, not ${line}`);
    return row.replace(`${file}:${line}`, `${file}:${found[0]}`);
  });
  for (const [kind, most] of [
    ['functions', MOST_FUNCTIONS],
    ['types', MOST_TYPES],
  ]) {
    const count = counts[kind];
    if (count === 0 || count > most) faults.push(`${count} ${kind}, expected 1 to ${most}`);
  }
  const text = [before, `${HEADING}\n`, lines.join('\n'), ...others].join('');
  return { faults: faults.map((fault) => `CONTRIBUTING.md: the way of a token: ${fault}`), text };
}

module.exports = { MOST_FUNCTIONS, MOST_TYPES, checkTokenWay };
