'use strict';

const assert = require('node:assert/strict');
const fs = require('node:fs');
const path = require('node:path');
const { test } = require('node:test');
const { DIFFERENCES } = require('./real-keycloak/support/differences');

const folder = path.join(__dirname, 'real-keycloak');

test('every difference between Keycloak releases names a test with a real Keycloak', () => {
  const tests = fs
    .readdirSync(folder)
    .filter((name) => name.endsWith('.test.js'))
    .map((name) => fs.readFileSync(path.join(folder, name), 'utf8'))
    .join('\n');
  const unknown = DIFFERENCES.filter(([what]) => !tests.includes(`'${what}'`));
  assert.deepEqual(unknown, []);
});
