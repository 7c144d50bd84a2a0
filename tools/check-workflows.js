'use strict';

// Checks the workflows of the public repository: actionlint finds mistakes, zizmor unsafe parts.
// Neither needs the network once it is installed.

const path = require('node:path');
const { cachedFrom } = require('./keycloak/cache.js');
const { pinnedProgram } = require('./pinned-program.js');
const { run } = require('./run.js');

const MODULE = path.join(__dirname, 'actionlint');

/** The path of actionlint, which is built from sources that are pinned in `actionlint/go.sum`. */
async function actionlint() {
  const pins = ['go.mod', 'go.sum'].map((name) => path.join(MODULE, name));
  const folder = await cachedFrom('actionlint', pins, async (temporary) => {
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
