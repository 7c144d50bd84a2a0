'use strict';

// Builds actionlint, a program that finds mistakes in workflows, in the user's cache folder.
// `actionlint/go.sum` pins the sources.

const path = require('node:path');
const { cachedFrom } = require('./keycloak/cache.js');
const { run } = require('./run.js');

const MODULE = path.join(__dirname, 'actionlint');

/**
 * Resolves with the path of the program; rejects if the program is not available on this machine.
 */
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

module.exports = { actionlint };
