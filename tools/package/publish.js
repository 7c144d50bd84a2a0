'use strict';

// Publishes the packages in `dist/`, the main package last, so that its binaries are always
// available. It skips packages that the registry already has, so that you can repeat an interrupted
// run. The argument is the tag of the release. With `--dry-run`, the script publishes nothing.

const { createHash } = require('node:crypto');
const fs = require('node:fs');
const path = require('node:path');
const { parseArgs } = require('node:util');
const { root, run, runMain } = require('../run.js');
const { findPlatformPackage } = require('./platform-package.js');
const { targets } = require('./targets.js');

const { name: NAME, version } = require('../../package.json');
const DIST = path.join(root, 'dist');

/** Returns the files, in the order of publication. */
function findPackages() {
  const names = [...Object.keys(targets).map(findPlatformPackage), NAME];
  const packages = names.map((name) => [name, path.join(DIST, `${name}-${version}.tgz`)]);
  const missing = packages.filter(([, file]) => !fs.existsSync(file));
  if (missing.length > 0) throw new Error(`not in dist: ${missing.map(([name]) => name)}`);
  return packages;
}

/** Whether the registry has the package; rejects if its content differs. */
async function isPublished(name, file) {
  const hash = createHash('sha512').update(fs.readFileSync(file)).digest('base64');
  let answer;
  try {
    // With these arguments, npm prints only the answer, or the code of a failure.
    const args = ['view', `${name}@${version}`, 'dist.integrity', '--json', '--loglevel=error'];
    answer = await run('npm', args, { capture: true });
  } catch (error) {
    if (error.message.includes('E404')) return false;
    throw error;
  }
  if (answer.trim() === '') return false;
  if (JSON.parse(answer) !== `sha512-${hash}`) {
    throw new Error(`the registry has ${name}@${version} with different content`);
  }
  return true;
}

async function main(args) {
  const { positionals, values } = parseArgs({
    args,
    allowPositionals: true,
    options: { 'dry-run': { type: 'boolean' } },
  });
  const isTrial = values['dry-run'] === true;
  const [tag] = positionals;
  if (!isTrial && tag !== `v${version}`) throw new Error(`the tag is ${tag}, not v${version}`);
  // An installation without a version uses `latest`.
  const channel = version.includes('-') ? 'next' : 'latest';
  for (const [name, file] of findPackages()) {
    if (!isTrial && (await isPublished(name, file))) {
      console.log(`${name}@${version} is already published`);
      continue;
    }
    const options = ['--access', 'public', '--tag', channel, '--ignore-scripts'];
    const last = isTrial ? '--dry-run' : '--provenance';
    await run('npm', ['publish', file, ...options, last]);
  }
}

runMain(module, main);
