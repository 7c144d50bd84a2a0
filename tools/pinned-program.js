'use strict';

// Gets a prebuilt program, by hash, into a virtual environment in the user's cache folder.
// `<name>.txt` beside this file names the one wheel that holds it, and so the version.

const { readFile } = require('node:fs/promises');
const path = require('node:path');
const { cached, cacheFolder } = require('./keycloak/cache.js');
const { run } = require('./run.js');

/** The path of the program; rejects if it is not available on this machine. */
async function pinnedProgram(name) {
  const requirements = path.join(__dirname, `${name}.txt`);
  const [, version] = /==([\d.]+) --hash=/.exec(await readFile(requirements, 'utf8'));
  const home = await cached(path.join(cacheFolder(), `${name}-${version}`), async (folder) => {
    console.log(`Getting ${name} ${version}`);
    await run('python3', ['-m', 'venv', folder], { capture: true });
    await run(
      path.join(folder, 'bin', 'python'),
      [
        ...['-m', 'pip', 'install', '--disable-pip-version-check', '--quiet', '--no-deps'],
        ...['--require-hashes', '--only-binary', ':all:'],
        ...['-r', requirements],
      ],
      { capture: true },
    );
    await run(path.join(folder, 'bin', name), ['--version'], { capture: true });
  });
  return path.join(home, 'bin', name);
}

module.exports = { pinnedProgram };
