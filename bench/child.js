'use strict';

// Runs a program of `children/` in a fresh process.

const { execFile } = require('node:child_process');
const path = require('node:path');
const { promisify } = require('node:util');

const LIMIT_MS = 120_000;
const RUNNER = path.join(__dirname, 'children', 'run.js');

/** Returns the result of the program that `children/<name>.js` exports, called with `options`. */
async function runChild(name, options, { binary = process.execPath, ...more } = {}) {
  const args = [RUNNER, name, JSON.stringify(options)];
  try {
    const { stdout } = await promisify(execFile)(binary, args, { timeout: LIMIT_MS, ...more });
    return JSON.parse(stdout);
  } catch (error) {
    throw new Error(`${name}: ${error.stderr?.trim() || error.message}`);
  }
}

module.exports = { runChild };
