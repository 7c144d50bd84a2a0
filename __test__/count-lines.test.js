'use strict';

// The counter of lines that `CONTRIBUTING.md` names.

const assert = require('node:assert/strict');
const { describe, test } = require('node:test');
const { countTree, rustLines, scriptLines } = require('../tools/count-lines.js');

describe('lines of code', () => {
  for (const [name, text, code, tests] of [
    ['nothing', '', 0, 0],
    ['blanks and comments', '\n// a\n/// b\n//! c\n/* d\ne */\n  \n', 0, 0],
    ['code beside a comment', 'let a = 1; // one\n/* two */ let b = 2;\n', 2, 0],
    ['a comment that is a string', 'let a = "// no /* comment";\nlet b = 1;\n', 2, 0],
    ['a string of several lines', 'let a = "one\n\n// two\n";\n', 3, 0],
    ['a raw string', 'let a = r#""{ //"#;\nlet b = 1;\n', 2, 0],
    ['characters and lifetimes', `fn f<'a>(a: &'a str) {\n    g('"', '{', '\\'');\n}\n`, 3, 0],
    [
      'a module of tests',
      'fn a() {}\n#[cfg(test)]\nmod tests {\n    fn b() {}\n}\nfn c() {}\n',
      2,
      4,
    ],
    ['braces in tests', '#[cfg(test)]\nmod tests {\n    f("}", \'}\'); // }\n}\nfn c() {}\n', 1, 4],
    [
      'tests in a file of their own',
      'fn a() {}\n#[cfg(test)]\n#[path = "b.rs"]\nmod tests;\n',
      1,
      3,
    ],
    ['an item for tests', '#[cfg(test)]\nfn a() {\n    {}\n}\nfn b() {}\n', 1, 4],
    [
      'a second one inside',
      '#[cfg(test)]\nmod a {\n    #[cfg(test)]\n    use b;\n}\nfn c() {}\n',
      1,
      5,
    ],
  ]) {
    test(`Rust: ${name}`, () => assert.deepEqual(rustLines(text), { code, tests }));
  }

  for (const [name, text, lines] of [
    ['nothing', '', 0],
    ['blanks and comments', '// a\n\n/** b\n * c */\n/* d */\n', 0],
    ['code beside comments', 'const a = 1; // one\n/** two */ function b() {}\n', 2],
    ['expressions and strings like comments', "const a = /[/*]\\//;\nconst b = '//';\n", 2],
    ['a template of several lines', 'const a = `one\n\n// two\nb\n`;\n', 4],
    ['types', 'type A = { b: string };\n/** c */\nlet c: A;\n', 2],
  ]) {
    test(`JavaScript: ${name}`, () => assert.equal(scriptLines(text), lines));
  }

  test('belong to the product or to its scaffolding', () => {
    const long = 'f();\n'.repeat(351);
    const files = {
      'src/a.rs': 'fn a() {}\n#[cfg(test)]\nmod b;\n',
      'src/a_tests.rs': 'fn c() {}\n',
      'crates/b/src/lib.rs': 'fn a() {}\n',
      'crates/b/tests/c.rs': 'fn a() {}\n',
      'lib/long.js': long,
      'lib/a.d.ts': 'let a;\n',
      'index.js': 'a();\n',
      'tools/a.js': long,
      '__test__/a.test-d.ts': 'a();\n',
      'bench/a.json': '{}\n',
      'build.rs': 'fn main() {}\n',
      'README.md': 'a\n',
      'docs/a.js': 'a();\n',
    };
    assert.deepEqual(
      countTree(Object.keys(files), (file) => files[file]),
      { product: [2, 352], scaffolding: [4, 352], long: [['lib/long.js', 351]] },
    );
  });
});
