'use strict';

// `options.json` describes the options, and the generated files agree with it.

const assert = require('node:assert/strict');
const fs = require('node:fs');
const path = require('node:path');
const { describe, test } = require('node:test');
const { DERIVED, derived, optionFaults, readTable } = require('../tools/options.js');

const root = path.join(__dirname, '..');
const read = (file) => fs.readFileSync(path.join(root, file), 'utf8');
const FILES = Object.keys(DERIVED);
const BY_KIND = {
  string: {},
  url: {},
  pem: { secret: true },
  path: { default: 'none' },
  integer: { minimum: 3, unit: 'seconds', default: 7 },
  boolean: { default: false },
};

describe('the table of options', () => {
  test('agrees with the README, the types, the schema and the parser', () => {
    assert.equal(FILES.length, 4);
    assert.deepEqual(optionFaults(readTable(), read), []);
  });

  test('names each file that does not agree', () => {
    for (const file of FILES) {
      const alter = (text) => text.replaceAll('backgroundRefresh', 'backgroundrefresh');
      const altered = (name) => (name === file ? alter(read(name)) : read(name));
      const [fault, ...others] = optionFaults(readTable(), altered);
      assert.match(fault, new RegExp(`^${file}: .*npm run options`));
      assert.deepEqual(others, []);
    }
  });

  test('is the only file to edit for a new option, besides the code that uses it', () => {
    for (const [kind, more] of Object.entries(BY_KIND)) {
      const row = { name: 'exampleOption', kind, summary: 'Shows `how` it is done.', ...more };
      const table = [...readTable(), row];
      const texts = derived(table, read);
      assert.deepEqual(Object.keys(texts), FILES);
      assert.match(
        texts['README.md'],
        /^\| `exampleOption` \| .* \| Shows `how` it is done\. \|$/m,
      );
      assert.match(texts['index.d.ts'], /Shows `how`[^}]*\n {2}exampleOption\?: \w+ \| undefined;/);
      assert.match(texts['crates/manager/src/options/table.rs'], /const EXAMPLE_OPTION: \w+ =/);
      const { properties } = ['boost', 'kagenti', 'auth'].reduce(
        (at, key) => at.properties[key],
        JSON.parse(texts['config.schema.json']),
      );
      assert.match(properties.exampleOption.description, /^Shows how it is done\./);
      assert.equal(properties.exampleOption.visibility, more.secret ? 'secret' : undefined);
      // A second generation changes nothing, and without the row the files are the same as before.
      const again = derived(table, (file) => texts[file]);
      assert.deepEqual(again, texts);
      const without = derived(readTable(), (file) => texts[file]);
      const faults = optionFaults(readTable(), (file) => without[file]);
      assert.deepEqual(faults, []);
    }
  });

  test("refuses prose that would break the README's table", () => {
    const row = { name: 'a', kind: 'string', summary: 'one | two' };
    assert.throws(() => derived([row], read), /options\.json: a: a bar/);
  });
});
