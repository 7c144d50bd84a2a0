'use strict';

// Installs a prebuilt program, by hash, in a virtual environment in the user's cache folder.
// `<name>.txt` in this folder names the wheel with the program, and its version.

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
    const pip = ['-m', 'pip', 'install', '--disable-pip-version-check', '--quiet', '--no-deps'];
    const pinned = ['--require-hashes', '--only-binary', ':all:', '-r', requirements];
    await run(path.join(folder, 'bin', 'python'), [...pip, ...pinned], { capture: true });
    await run(path.join(folder, 'bin', name), ['--version'], { capture: true });
  });
  return path.join(home, 'bin', name);
}

module.exports = { pinnedProgram };
