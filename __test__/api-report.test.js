'use strict';

// The report of the public types, and the kinds of change that it shows.

const assert = require('node:assert/strict');
const { readFileSync } = require('node:fs');
const path = require('node:path');
const { describe, it } = require('node:test');
const { apiReport } = require('../tools/api-report.js');
const manifest = require('../package.json');

const DECLARATION = 'export interface AccessToken {';
const read = (file) => readFileSync(path.join(__dirname, '..', file), 'utf8');
const report = apiReport(manifest, read);
/** The report after a change to the main entry's types. */
function changed(from, to) {
  const types = read('index.d.ts');
  assert.ok(types.includes(from), from);
  return apiReport(manifest, (file) =>
    file === './index.d.ts' ? types.replace(from, to) : read(file),
  );
}

describe('the report of the public types', () => {
  const changes = [
    ['an option is renamed', 'requestTimeoutMs?:', 'timeoutMs?:'],
    ['an option is no longer required', '  clientId: string;\n', '  clientId?: string;\n'],
    ['a code is missing', "  | 'ERR_KEYCLOAK_TLS'", ''],
    ['a method returns another type', 'snapshot(): Keycloak', 'snapshot(): undefined | Keycloak'],
    ['a declaration is added', DECLARATION, `export type More = string;\n${DECLARATION}`],
  ];
  for (const [name, from, to] of changes) {
    it(`changes when ${name}`, () => assert.notEqual(changed(from, to), report));
  }

  it('does not change with a comment or a line break', () => {
    assert.equal(changed('/** The access token. */', '/** The token. */'), report);
    assert.equal(changed('  clientId: string;\n', '  clientId:\n    string;\n'), report);
  });

  it("changes with the package's entry points, engines and peer dependencies", () => {
    const { './testing': _, ...exports } = manifest.exports;
    for (const other of [{ exports }, { engines: { node: '>=99' } }, { peerDependencies: {} }]) {
      assert.notEqual(apiReport({ ...manifest, ...other }, read), report);
    }
  });

  it('contains every entry point that has types', () => {
    for (const entry of ['keycloak-token-manager', 'keycloak-token-manager/backstage']) {
      assert.ok(report.includes(`## \`${entry}\`\n\n\`\`\`ts\n`), entry);
    }
  });

  it('refuses a declaration that is not exported', () => {
    assert.throws(() => changed(DECLARATION, `type Hidden = 1;\n${DECLARATION}`), /Hidden/);
  });
});
