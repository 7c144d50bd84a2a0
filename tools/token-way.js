'use strict';

// Checks the section "The way of a token" of CONTRIBUTING.md against the code: the file that a row
// names must define the row's function or type once, and the tables must not exceed a limit.

const HEADING = '## The way of a token';
const MOST = { functions: 15, types: 4 };
const ROW = /^\| (?:(\d+) \| )?`([^`]+)` \| `([^`]+)` \|/gm;

/**
 * Returns the number of times that a file defines `Type::function`, `Class.method` or an
 * unqualified name.
 */
function countDefinitions(text, qualified) {
  const [, owner, name] = /^(?:(\w+)(?:::|\.|(?=\[)))?(#?\w+|\[\w+\])$/.exec(qualified);
  const escaped = name.replace(/[[\]]/g, '\\$&');
  const patterns = [
    new RegExp(`\\b(fn|struct|enum|type|trait|class|function) ${escaped}\\b`),
    // This pattern matches a method. It does not match a call at the start of a line, because such
    // a call ends in a semicolon.
    new RegExp(`^ {2}(async |static )*${escaped}\\(.*\\{$`),
  ];
  let count = 0;
  let around = '';
  for (const line of text.split('\n')) {
    if (/^(impl|class|(pub )?trait)\b/.test(line)) around = line;
    const isThere = owner === undefined || new RegExp(`\\b${owner}\\b`).test(around);
    if (isThere && patterns.some((pattern) => pattern.test(line))) count += 1;
  }
  return count;
}

/** Describes the faults of the section. `read` returns the text of a file. */
function tokenWayFaults(document, read) {
  const [, section = ''] = document.split(`${HEADING}\n`);
  const rows = [...section.split(/^## /m)[0].matchAll(ROW)];
  const steps = rows.filter(([, step]) => step !== undefined);
  const counts = { functions: steps.length, types: rows.length - steps.length };
  return [
    ...rows
      .map(([, , name, file]) => [name, file, countDefinitions(read(file), name)])
      .filter(([, , count]) => count !== 1)
      .map(([name, file, count]) => `${name}: defined ${count} times in ${file}`),
    ...steps
      .filter(([, step], at) => Number(step) !== at + 1)
      .map(([, step, name]) => `${name}: not step ${step}`),
    ...Object.entries(counts)
      .filter(([kind, count]) => count === 0 || count > MOST[kind])
      .map(([kind, count]) => `${count} ${kind}, expected 1 to ${MOST[kind]}`),
  ].map((fault) => `CONTRIBUTING.md: the way of a token: ${fault}`);
}

module.exports = { tokenWayFaults };
