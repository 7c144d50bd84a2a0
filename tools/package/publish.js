'use strict';

// Publishes what is in `dist/`, the main package last: nobody gets one whose binaries are missing.
// What the registry has already is left alone, so that a run that broke off can be repeated. With
// the tag of the release as its argument, or with `--dry-run`, which asks no registry.

const { createHash } = require('node:crypto');
const fs = require('node:fs');
const path = require('node:path');
const { parseArgs } = require('node:util');
const { root, run } = require('../run.js');
const { findPlatformPackage } = require('./platform-package.js');
const { targets } = require('./targets.js');

const { name: NAME, version } = require('../../package.json');
const DIST = path.join(root, 'dist');

/** The files, in the order in which they are published. */
function findPackages() {
  const names = [...Object.keys(targets).map(findPlatformPackage), NAME];
  const packages = names.map((name) => ({
    name,
    file: path.join(DIST, `${name}-${version}.tgz`),
  }));
  const missing = packages.filter(({ file }) => !fs.existsSync(file));
  if (missing.length > 0) throw new Error(`not in dist: ${missing.map(({ name }) => name)}`);
  return packages;
}

/** Rejects if the registry has something else by that name and version. */
async function isPublished({ name, file }) {
  const hash = createHash('sha512').update(fs.readFileSync(file)).digest('base64');
  let answer;
  try {
    // Nothing but the answer, and of a failure its code.
    const args = ['view', `${name}@${version}`, 'dist.integrity', '--json', '--loglevel=error'];
    answer = await run('npm', args, { capture: true });
  } catch (error) {
    if (error.message.includes('E404')) return false;
    throw error;
  }
  if (answer.trim() === '') return false;
  if (JSON.parse(answer) !== `sha512-${hash}`) {
    throw new Error(`${name}@${version} was published with another content`);
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
  // `latest` is what an installation without a version gets.
  const channel = version.includes('-') ? 'next' : 'latest';
  for (const found of findPackages()) {
    if (!isTrial && (await isPublished(found))) {
      console.log(`${found.name}@${version} is there`);
      continue;
    }
    const options = ['--access', 'public', '--tag', channel, '--ignore-scripts'];
    await run('npm', [
      ...['publish', found.file, ...options],
      isTrial ? '--dry-run' : '--provenance',
    ]);
  }
}

main(process.argv.slice(2)).catch((error) => {
  console.error(error.message);
  process.exitCode = 1;
});
