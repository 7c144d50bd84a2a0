'use strict';

// The check of "The way of a token" in CONTRIBUTING.md.

const assert = require('node:assert/strict');
const { describe, test } = require('node:test');
const { tokenWayFaults } = require('../tools/token-way.js');

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
const check = (...steps) => {
  const rows = steps.map(([name, file], at) => `| ${at + 1} | \`${name}\` | \`${file}\` | |`);
  const types = '| `Grant` | `a.rs` | a token |';
  const text = `# A\n## The way of a token\n\n${[...rows, types].join('\n')}\n\n## B\n`;
  return tokenWayFaults(text, (file) => FILES[file]).join('\n');
};

describe('the check of the way of a token', () => {
  for (const [name, file, fault] of [
    ['start', 'a.rs'],
    ['Shared::land', 'a.rs'],
    ['Guard::land', 'a.rs'],
    ['notify', 'a.js'],
    ['Manager.getToken', 'a.js'],
    ['Manager.#ask', 'a.js'],
    ['Manager[deliver]', 'a.js'],
    ['gone', 'a.rs', /gone: defined 0 times in a\.rs$/],
    ['Waiters.getToken', 'a.js', /defined 0 times/],
    ['land', 'a.rs', /land: defined 2 times/],
  ]) {
    test(`${fault ? 'refuses' : 'finds'} ${name}`, () =>
      assert.match(check([name, file]), fault ?? /^$/));
  }

  test('allows a limited number of steps, in order', () => {
    assert.match(check(...Array(16).fill(['start', 'a.rs'])), /16 functions, expected 1 to 15$/);
    assert.match(check(), /0 functions, expected/);
    const text = '## The way of a token\n| 2 | `start` | `a.rs` | |\n';
    const faults = tokenWayFaults(text, (file) => FILES[file]).join('\n');
    assert.match(faults, /start: not step 2\n.*0 types, expected 1 to 4$/);
  });
});
