'use strict';

// The line counter that `CONTRIBUTING.md` mentions.

const assert = require('node:assert/strict');
const { describe, test } = require('node:test');
const { countTree, rustLines, scriptLines } = require('../tools/count-lines.js');

describe('the line counter', () => {
  for (const [name, text, code, tests] of [
    ['blanks and comments', '\n// a\n/// b\n//! c\n/* d\ne */\n  \n', 0, 0],
    ['code beside a comment', 'let a = 1; // one\n/* two */ let b = 2;\n', 2, 0],
    ['strings', 'let a = "// no /* comment";\nlet b = "one\n\n// two\n";\n', 4, 0],
    ['a raw string', 'let a = r#""{ //"#;\nlet b = 1;\n', 2, 0],
    ['characters and lifetimes', `fn f<'a>(a: &'a str) {\n    g('"', '{', '\\'');\n}\n`, 3, 0],
    ['braces in tests', '#[cfg(test)]\nmod tests {\n    f("}", \'}\'); // }\n}\nfn c() {}\n', 1, 4],
    ['a file of tests', 'fn a() {}\n#[cfg(test)]\n#[path = "b.rs"]\nmod tests;\n', 1, 3],
  ]) {
    test(`counts lines of Rust: ${name}`, () => assert.deepEqual(rustLines(text), { code, tests }));
  }

  for (const [name, text, lines] of [
    ['comments', '// a\n\n/** b\n * c */\nconst a = 1; // one\n/** two */ function b() {}\n', 2],
    ['expressions and strings like comments', "const a = /[/*]\\//;\nconst b = '//';\n", 2],
    ['a template of several lines', 'const a = `one\n\n// two\nb\n`;\n', 4],
  ]) {
    test(`counts lines of JavaScript: ${name}`, () => assert.equal(scriptLines(text), lines));
  }

  test('assigns lines to the product or to its scaffolding', () => {
    const long = 'f();\n'.repeat(351);
    const files = {
      'src/a.rs': 'fn a() {}\n#[cfg(test)]\nmod b;\n',
      'crates/b/tests/c.rs': 'fn a() {}\n',
      'lib/long.js': long,
      'lib/a.d.ts': 'let a;\n',
      'tools/a.js': long,
      'README.md': 'a\n',
    };
    assert.deepEqual(
      countTree(Object.keys(files), (file) => files[file]),
      { product: [1, 351], scaffolding: [3, 351], long: [['lib/long.js', 351]] },
    );
  });
});
