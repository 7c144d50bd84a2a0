'use strict';

// Gets the core's figures on simulated time: a test of `crates/manager/tests` counts them, checks
// their bars and writes them to a file.

const { execFile } = require('node:child_process');
const fs = require('node:fs');
const os = require('node:os');
const path = require('node:path');
const { promisify } = require('node:util');

const LIMIT_MS = 240_000;

/**
 * Returns the figures that a test writes under the given name. `file` is the test's file; `flags`
 * are further arguments of `cargo test`.
 */
async function coreFigures(name, test, options = {}) {
  const { file = 'figures', flags = [], env, limitMs = LIMIT_MS } = options;
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'bench-figures-'));
  const args = ['test', '--locked', '--package', 'keycloak-manager', ...flags];
  try {
    await promisify(execFile)('cargo', [...args, '--test', file, test], {
      cwd: path.join(__dirname, '..'),
      env: { ...process.env, ...env, FIGURES: folder },
      timeout: limitMs,
      maxBuffer: 2 ** 24,
    });
    return JSON.parse(fs.readFileSync(path.join(folder, `${name}.json`), 'utf8'));
  } catch (error) {
    const [why = error.message] = /^.*panicked at[\s\S]*?\n.*$/m.exec(error.stdout) ?? [];
    throw new Error(`${file}: ${why}`);
  } finally {
    fs.rmSync(folder, { recursive: true, force: true });
  }
}

module.exports = { coreFigures };
