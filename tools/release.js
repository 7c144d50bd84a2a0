'use strict';

// `npm run release -- 0.1.0` prepares a release: it moves the unreleased changes in CHANGELOG.md
// under the version and today's date, sets the version in every manifest and prints the next steps.
// `--notes` only prints the section of CHANGELOG.md for the version.

const fs = require('node:fs');
const path = require('node:path');
const { parseArgs } = require('node:util');
const { compare, valid } = require('semver');
const { UNRELEASED, changelogFaults, parseChangelog } = require('./changelog.js');
const { root, runMain } = require('./run.js');
const { versionFaults, withVersion } = require('./versions.js');

const CHANGELOG = 'CHANGELOG.md';
const read = (file) => fs.readFileSync(path.join(root, file), 'utf8');

function refuse(faults) {
  if (faults.length > 0) throw new Error(faults.join('\n'));
}

/**
 * Returns the new contents of all files, keyed by name; `readFile` returns the current contents of
 * a file.
 */
function prepareRelease(version, date, readFile) {
  const current = JSON.parse(readFile('package.json')).version;
  const text = readFile(CHANGELOG);
  refuse([...versionFaults(readFile), ...changelogFaults(text, current)]);
  if (valid(version) !== version) throw new Error(`invalid version: ${version}`);
  const [unreleased, newest] = parseChangelog(text).sections;
  if (unreleased.body === '') throw new Error(`${CHANGELOG} has no unreleased changes`);
  if (compare(version, current) < 0) throw new Error(`${version} is older than ${current}`);
  if (version === newest?.version) throw new Error(`${version} is already released`);
  const heading = `## ${UNRELEASED}\n`;
  const changed = withVersion(readFile, version);
  changed.set(CHANGELOG, text.replace(heading, `${heading}\n## ${version} - ${date}\n`));
  const readChanged = (file) => changed.get(file);
  refuse([...versionFaults(readChanged), ...changelogFaults(readChanged(CHANGELOG), version)]);
  return changed;
}

/** Returns the changelog entry of a version. */
function releaseNotes(version, text) {
  const found = parseChangelog(text).sections.find((section) => section.version === version);
  if (found === undefined) throw new Error(`${CHANGELOG} has no section for ${version}`);
  return found.body;
}

async function main(args) {
  const { positionals, values } = parseArgs({
    args,
    allowPositionals: true,
    options: { notes: { type: 'boolean' } },
  });
  const [version] = positionals;
  if (version === undefined) throw new Error('usage: npm run release -- VERSION');
  if (values.notes) {
    console.log(releaseNotes(version, read(CHANGELOG)));
    return;
  }
  const changed = prepareRelease(version, new Date().toISOString().slice(0, 10), read);
  for (const [file, text] of changed) fs.writeFileSync(path.join(root, file), text);
  console.log(`Changed: ${[...changed.keys()].join(', ')}. Check the changes, then run:
  git commit --all --message 'docs: release ${version}'
  git tag --annotate v${version} --message v${version}
Then push the commit, and the tag when its tests are green: git push origin v${version}`);
}

module.exports = { prepareRelease, releaseNotes };

runMain(module, main);
