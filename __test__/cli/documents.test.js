'use strict';

// Checks that the doctor gives the advice of each row of the troubleshooting tables, and that the
// example in the document shows the output of a real run.

const assert = require('node:assert/strict');
const fs = require('node:fs');
const path = require('node:path');
const { describe, test } = require('node:test');
const { adviceFor } = require('../../lib/cli/advice.js');
const { makeCertificates } = require('../../tools/certificates.js');
const { makeFile } = require('../support/files.js');
const { startEndpoint } = require('../support/manager.js');
const { SECRET, runProgram } = require('./support.js');

const ROOT = path.join(__dirname, '..', '..');
const read = (file) => fs.readFileSync(path.join(ROOT, file), 'utf8');

/** Removes links and code markup from a cell's text, and writes emphasis as quotation marks. */
const plain = (cell) =>
  cell
    .replace(/\[([^\]]*)\]\([^)]*\)/g, '$1')
    .replaceAll('`', '')
    .replace(/\*(?=\w)|(?<=\w)\*/g, '"')
    .trim();

/** The rows of the table below a heading of docs/errors.md, as lists of plain cells. */
function rows(heading) {
  const [, section = ''] = read('docs/errors.md').split(`### ${heading}\n`);
  const lines = section.split(/^##/m)[0].match(/^\| .*\|$/gm) ?? [];
  return lines.slice(1).map((line) => line.slice(1, -1).split(' | ').map(plain));
}

/** The codes in the second table that no run of the doctor can cause: mistakes in a program. */
const IN_PROGRAMS = ['ERR_KEYCLOAK_REQUEST', 'ERR_KEYCLOAK_CLOSED', 'ERR_KEYCLOAK_CONFIG'];

describe('the doctor gives the advice of docs/errors.md', () => {
  const refusals = rows('ERR_KEYCLOAK_OAUTH');
  const others = rows('Other codes').filter(([code]) => !IN_PROGRAMS.includes(code));

  test('for errors of every kind', () => {
    assert.ok(refusals.length >= 16, `${refusals.length} rows`);
    assert.ok(others.length >= 14, `${others.length} rows`);
  });

  const byCode = refusals.flatMap(([codes, ...cells]) =>
    codes.split(', ').map((code) => [code, ...cells]),
  );
  for (const [oauthError, seen, , advice] of byCode) {
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
      const retryable = /retryable/.test(seen);
      assert.equal(adviceFor({ code, status, oauthError, message, retryable }), advice);
    });
  }
});

const PAGE = 'docs/command-line.md';

/** The page's example: the command and its output. */
const example = () => /^```console\n\$ (.*)\n([\s\S]*?)^```$/m.exec(read(PAGE)).slice(1);

/** Replaces the figures that differ between two runs. */
const withoutFigures = (output) =>
  output
    .replace(/127\.0\.0\.1:\d+|(?<=port )\d+/g, 'PORT')
    .replace(/\(\d+ ms\)/g, '(MS)')
    .replace(/keycloak-token-manager \S+, Node \S+ on [\w-]+/, 'VERSIONS')
    .replace(/\d{4}-\d\d-\d\d/g, 'DATE');

test('the example in the document is the output of a run', async (t) => {
  const { ca, server } = makeCertificates();
  const tls = { key: server.key, cert: server.cert };
  const endpoint = await startEndpoint(t, {
    tls,
    clients: { 'my-client': SECRET },
    realm: 'my-realm',
  });
  const files = {
    '/run/secrets/my-client': makeFile(t, `${SECRET} \n`, 'my-client'),
    '/etc/pki/internal-ca.pem': ca.certFile,
  };
  fs.chmodSync(files['/run/secrets/my-client'], 0o600);
  const [command, shown] = example();
  const args = command.split(' ').slice(2);
  const given = args.map((arg) => files[arg] ?? arg.replace(/^https:..[^/]*/, endpoint.url));
  const { status, stdout } = await runProgram(given);
  const output = Object.entries(files).reduce(
    (all, [to, from]) => all.replaceAll(from, to),
    stdout,
  );
  // For a new example, copy this output into the page.
  assert.equal(withoutFigures(output), withoutFigures(shown), output);
  assert.equal(status, 1);
});

test('the document describes every flag and variable', () => {
  const { options } = require('../../lib/cli/options.js');
  const { OWN_FLAGS } = require('../../lib/cli/arguments.js');
  const page = read(PAGE);
  const known = options.map(({ flag, variable, hasFlag }) => (hasFlag ? `--${flag}` : variable));
  for (const name of [...known, ...Object.keys(OWN_FLAGS).map((flag) => `--${flag}`)]) {
    assert.match(page, new RegExp(`\\| \`${name}[ \`]`), name);
  }
});
