'use strict';

// Holds the section "The way of a token" of CONTRIBUTING.md to the code: every function and type in
// its tables is defined in the file and on the line that stand beside it, and they are few.

const HEADING = '## The way of a token';
const MOST_FUNCTIONS = 15;
const MOST_TYPES = 4;
const ROW = /^\| (?:(\d+) \| )?`([^`]+)` \| `([^`:]+):(\d+)` \|/;
const DEFINITIONS = [
  (name) => new RegExp(`\\b(fn|struct|enum|type|trait|class|function) ${name}\\b`),
  // A method or a function that is a constant; a call at the start of a line ends in a semicolon.
  (name) => new RegExp(`^ {2}(async |static )*${name}\\(.*\\{$|^const ${name} = `),
];

/** The lines, counted from 1, on which `Type::function`, `Class.method` or a name alone is defined. */
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
 * What is wrong with the section, and the document with the lines as they are. `read` gives the text
 * of a file, or undefined.
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
