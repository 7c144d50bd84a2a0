'use strict';

// The check of "The way of a token" in CONTRIBUTING.md.

const assert = require('node:assert/strict');
const { describe, test } = require('node:test');
const { MOST_FUNCTIONS, checkTokenWay } = require('../tools/token-way.js');

const FILES = {
  'a.rs': [
    'fn start() {}',
    'impl<C: Clock> Shared<C> {',
    '    pub(super) async fn land(&self) {',
    '        self.slot.land();',
    'impl Drop for Guard {',
    '    fn land(self) {',
    'pub struct Grant {',
  ].join('\n'),
  'a.js': [
    'function notify(id) {',
    'class Manager {',
    '  getToken() {',
    '  async #ask(options, shape) {',
    '    this.#ask(options);',
    '  [deliver]() {',
    'class Waiters {',
    '  give(token) {',
  ].join('\n'),
};
const TYPES = '| `Grant` | `a.rs:7` | a token |';
const AFTER = '## B\n| 1 | `no` | `row:1` |\n';
const document = (...rows) =>
  ['# A\n## The way of a token\n', ...rows, '', TYPES, '', AFTER].join('\n');
const check = (text) => checkTokenWay(text, (file) => FILES[file]);

describe('the way of a token', () => {
  for (const [name, line] of [
    ['start', 'a.rs:1'],
    ['Shared::land', 'a.rs:3'],
    ['Guard::land', 'a.rs:6'],
    ['notify', 'a.js:1'],
    ['Manager.getToken', 'a.js:3'],
    ['Manager.#ask', 'a.js:4'],
    ['Manager[deliver]', 'a.js:6'],
  ]) {
    test(`finds ${name}`, () => {
      const right = document(`| 1 | \`${name}\` | \`${line}\` | works |`);
      assert.deepEqual(check(right), { faults: [], text: right });
      const moved = check(right.replace(line, line.replace(/\d+/, '99')));
      assert.match(moved.faults.join(), /: on line \d of a\.[rj]s, not 99$/);
      assert.equal(moved.text, right);
    });
  }

  const tooMany = Array(MOST_FUNCTIONS + 1).fill('| 1 | `start` | `a.rs:1` | |');
  for (const [what, rows, fault] of [
    ['a missing function', ['| 1 | `gone` | `a.rs:1` | |'], /gone: defined 0 times in a\.rs$/],
    ['a name of two functions', ['| 1 | `land` | `a.rs:3` | |'], /land: defined 2 times/],
    ['a wrong step', ['| 2 | `start` | `a.rs:1` | |'], /start: not step 2$/],
    ['too many functions', tooMany, /functions, expected 1 to \d+/],
  ]) {
    test(`refuses ${what}`, () => {
      const text = document(...rows);
      const { faults, text: written } = check(text);
      assert.match(faults.join('\n'), fault);
      assert.equal(written, text);
    });
  }

  test('is required', () => {
    assert.deepEqual(check('# A\n').faults, ['no section "## The way of a token"']);
  });
});
