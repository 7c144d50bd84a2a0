'use strict';

// The suite under Jest's module registry, which gives every test file its own copy of every module.

const path = require('node:path');

const rootDir = path.join(__dirname, '..');

module.exports = {
  rootDir,
  roots: [path.join(rootDir, '__test__', 'jest')],
  testEnvironment: 'node',
  testMatch: ['**/*.jest.js'],
  // Nothing is transformed: the modules run as they are published.
  transform: {},
};
