'use strict';

// Checks the workflows of the public repository: actionlint finds mistakes, zizmor unsafe parts.
// Neither needs the network once it is installed.

const { createHash } = require('node:crypto');
const { readFile } = require('node:fs/promises');
const path = require('node:path');
const { cached, cacheFolder } = require('./keycloak/cache.js');
const { pinnedProgram } = require('./pinned-program.js');
const { run } = require('./run.js');

const MODULE = path.join(__dirname, 'actionlint');

/** The path of actionlint, which is built from sources that are pinned in `actionlint/go.sum`. */
async function actionlint() {
  const hash = createHash('sha256');
  for (const name of ['go.mod', 'go.sum']) hash.update(await readFile(path.join(MODULE, name)));
  const entry = path.join(cacheFolder(), `actionlint-${hash.digest('hex').slice(0, 16)}`);
  const folder = await cached(entry, async (temporary) => {
    console.log('Building actionlint');
    const args = ['-mod=readonly', '-trimpath', '-o', path.join(temporary, 'actionlint')];
    const source = 'github.com/rhysd/actionlint/cmd/actionlint';
    await run('go', ['-C', MODULE, 'build', ...args, source], { capture: true });
  });
  return path.join(folder, 'actionlint');
}

const checkers = {
  // The disabled checks depend on programs of the machine.
  actionlint: { get: actionlint, args: ['-shellcheck=', '-pyflakes='] },
  zizmor: {
    get: () => pinnedProgram('zizmor'),
    args: ['--offline', '--quiet', '--strict-collection', '--persona=auditor', '.github'],
  },
};

/** Rejects if there is a finding. Returns a line for each checker that is not available. */
async function checkWorkflows() {
  const missing = [];
  for (const [name, { get, args }] of Object.entries(checkers)) {
    let program;
    try {
      program = await get();
    } catch (error) {
      missing.push(`${name} is not available: ${error.message.split('\n')[0]}`);
      continue;
    }
    await run(program, args);
    console.log(`${name}: no finding`);
  }
  return missing;
}

module.exports = { checkWorkflows };
