'use strict';

// Builds and loads the naive addon, every read of which crosses into native code.

const { execFile } = require('node:child_process');
const path = require('node:path');
const { promisify } = require('node:util');

const manifest = path.join(__dirname, 'Cargo.toml');
const target = path.join(__dirname, '..', '..', 'target', 'naive');
const LIMIT_MS = 200_000;
const libraries = { darwin: 'libnaive_token.dylib', win32: 'naive_token.dll' };

/** Builds the addon; rejects with one line if that fails. */
async function buildNaive() {
  const args = ['build', '--release', '--locked', '--quiet', '--manifest-path', manifest];
  try {
    await promisify(execFile)('cargo', args, {
      env: { ...process.env, CARGO_TARGET_DIR: target },
      timeout: LIMIT_MS,
    });
  } catch (error) {
    const [why = error.message] = /^error.*$/m.exec(error.stderr) ?? [];
    throw new Error(`the naive addon cannot be built: ${why}`);
  }
}

/** A manager that reads the token from native code. */
function makeNaive(token) {
  const library = libraries[process.platform] ?? 'libnaive_token.so';
  const addon = { exports: {} };
  process.dlopen(addon, path.join(target, 'release', library));
  addon.exports.setToken(token);
  return { getToken: () => addon.exports.getToken() };
}

module.exports = { buildNaive, makeNaive };
