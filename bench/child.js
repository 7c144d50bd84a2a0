'use strict';

// Runs a program of `children/` and returns the JSON that it prints.

const { execFile } = require('node:child_process');
const path = require('node:path');

const LIMIT_MS = 120_000;

function runChild(name, args, { binary = process.execPath, env } = {}) {
  const program = path.join(__dirname, 'children', name);
  return new Promise((resolve, reject) => {
    execFile(
      binary,
      [program, ...args.map(String)],
      { timeout: LIMIT_MS, env: { ...process.env, ...env } },
      (error, stdout, stderr) => {
        if (error) reject(new Error(`${name}: ${stderr.trim() || error.message}`));
        else resolve(JSON.parse(stdout));
      },
    );
  });
}

module.exports = { runChild };
