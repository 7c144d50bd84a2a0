'use strict';

// Gets the figures of the core on simulated time: `crates/manager/tests/figures.rs` counts them,
// checks their bars and writes them to a file.

const { execFile } = require('node:child_process');
const fs = require('node:fs');
const os = require('node:os');
const path = require('node:path');
const { promisify } = require('node:util');

const LIMIT_MS = 240_000;

/** Returns the figures that one test of that file writes under the given name. */
async function coreFigures(name, test) {
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'bench-figures-'));
  const args = ['test', '--locked', '--package', 'keycloak-manager'];
  try {
    await promisify(execFile)('cargo', [...args, '--test', 'figures', test], {
      cwd: path.join(__dirname, '..'),
      env: { ...process.env, FIGURES: folder },
      timeout: LIMIT_MS,
      maxBuffer: 2 ** 24,
    });
    return JSON.parse(fs.readFileSync(path.join(folder, `${name}.json`), 'utf8'));
  } catch (error) {
    const [why = error.message] = /^.*panicked at[\s\S]*?\n.*$/m.exec(error.stdout) ?? [];
    throw new Error(`figures.rs: ${why}`);
  } finally {
    fs.rmSync(folder, { recursive: true, force: true });
  }
}

module.exports = { coreFigures };
