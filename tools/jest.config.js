'use strict';

// Runs a suite under Jest's module registry, which gives every test file its own copy of every
// module.

const path = require('node:path');

const rootDir = path.join(__dirname, '..');

module.exports = {
  rootDir,
  roots: [path.join(rootDir, '__test__', 'jest')],
  testEnvironment: 'node',
  testMatch: ['**/*.jest.js'],
  // Jest transforms no module, so the modules run as published.
  transform: {},
};
