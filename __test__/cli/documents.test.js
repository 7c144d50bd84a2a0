'use strict';

// The rows of the troubleshooting tables: for each, the doctor has a finding with the advice of the
// row. And the example output in the document, which is the output of a real run.

const assert = require('node:assert/strict');
const fs = require('node:fs');
const path = require('node:path');
const { describe, test } = require('node:test');
const { adviceFor } = require('../../lib/cli/advice.js');

const ROOT = path.join(__dirname, '..', '..');
const read = (file) => fs.readFileSync(path.join(ROOT, file), 'utf8');

/** Removes links and markup from the text of a cell. */
const plain = (cell) =>
  cell
    .replace(/\[([^\]]*)\]\([^)]*\)/g, '$1')
    .replace(/[`*]/g, '')
    .trim();

/** The rows of the table below a heading of docs/errors.md, as lists of plain cells. */
function rows(heading) {
  const [, section = ''] = read('docs/errors.md').split(`### ${heading}\n`);
  const lines = section.split(/^##/m)[0].match(/^\| .*\|$/gm) ?? [];
  return lines.slice(1).map((line) => line.slice(1, -1).split(' | ').map(plain));
}

/** The rows of the second table that no run of the doctor can meet: mistakes in a program. */
const IN_PROGRAMS = ['ERR_KEYCLOAK_REQUEST', 'ERR_KEYCLOAK_CLOSED', 'ERR_KEYCLOAK_CONFIG'];

describe('the doctor gives the advice of docs/errors.md', () => {
  const refusals = rows('ERR_KEYCLOAK_OAUTH');
  const others = rows('Other codes').filter(([code]) => !IN_PROGRAMS.includes(code));

  test('for every kind of error', () => {
    assert.ok(refusals.length >= 16, `${refusals.length} rows`);
    assert.ok(others.length >= 14, `${others.length} rows`);
  });

  for (const [oauthError, seen, , advice] of refusals) {
    test(`${oauthError}: ${seen}`, () => {
      const [, quoted] = /"(.*)"/.exec(seen) ?? [];
      const error = {
        code: 'ERR_KEYCLOAK_OAUTH',
        oauthError,
        oauthErrorDescription: quoted?.replace(/\s*…$/, ''),
      };
      assert.equal(adviceFor(error), advice);
    });
  }

  for (const [code, seen, , advice] of others) {
    test(`${code}: ${seen}`, () => {
      const status = Number(/\b\d{3}\b/.exec(seen.replace('a 3xx', '302'))?.[0] ?? 418);
      const [, oauthError] = /oauthError "?([^"]+)"?$/.exec(seen) ?? [];
      const message = Array.from(seen.matchAll(/"([^"]*)"/g), ([, part]) => part).join(' ');
      assert.equal(adviceFor({ code, status, oauthError, message }), advice);
    });
  }
});
