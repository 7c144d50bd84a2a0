'use strict';

// Runs a program in `children/` in a fresh process.

const { execFile } = require('node:child_process');
const path = require('node:path');
const { promisify } = require('node:util');

const LIMIT_MS = 120_000;
const RUNNER = path.join(__dirname, 'children', 'run.js');

/** Passes `options` to the function that `children/<name>.js` exports, and returns its result. */
async function runChild(name, options, { binary = process.execPath, ...more } = {}) {
  // Hides Node's warning that simulated time is experimental.
  const args = ['--expose-gc', '--no-warnings', RUNNER, name, JSON.stringify(options)];
  const settings = { timeout: LIMIT_MS, ...more };
  try {
    const { stdout } = await promisify(execFile)(binary, args, settings);
    return JSON.parse(stdout.slice(stdout.lastIndexOf('\n')));
  } catch (error) {
    const why = error.killed ? `timeout after ${settings.timeout / 1000} s` : error.stderr?.trim();
    throw new Error(`${name}: ${why || error.message}`);
  }
}

module.exports = { runChild };
