'use strict';

// `npm run release -- 0.1.0` prepares a release: it moves the unreleased changes in CHANGELOG.md
// under the version and the date of today, sets the version in every manifest and prints the next
// steps. `--dry-run` only shows the changes, `--commit` also commits and tags, and `--notes` only
// prints the section of CHANGELOG.md for the version.

const fs = require('node:fs');
const path = require('node:path');
const { parseArgs } = require('node:util');
const {
  UNRELEASED,
  changelogFaults,
  compareVersions,
  isVersion,
  parseChangelog,
} = require('./changelog.js');
const { root, run, runMain } = require('./run.js');
const { readVersions, versionFaults, withVersion } = require('./versions.js');

const CHANGELOG = 'CHANGELOG.md';
const read = (file) => fs.readFileSync(path.join(root, file), 'utf8');

function refuse(faults) {
  if (faults.length > 0) throw new Error(faults.join('\n'));
}

/** The new contents of all files, by name; `readFile` returns their current contents. */
function prepareRelease(version, date, readFile) {
  const [{ version: current }] = readVersions(readFile);
  const text = readFile(CHANGELOG);
  refuse([...versionFaults(readFile), ...changelogFaults(text, current)]);
  if (!isVersion(version)) throw new Error(`not a version: ${version}`);
  const [unreleased, newest] = parseChangelog(text).sections;
  if (unreleased.body === '') throw new Error(`${CHANGELOG}: nothing is unreleased`);
  if (compareVersions(version, current) < 0) throw new Error(`${version} is before ${current}`);
  if (version === newest?.version) throw new Error(`${version} was released`);
  const heading = `## ${UNRELEASED}\n`;
  const changed = withVersion(readFile, version);
  changed.set(CHANGELOG, text.replace(heading, `${heading}\n## ${version} - ${date}\n`));
  const readChanged = (file) => changed.get(file);
  refuse([...versionFaults(readChanged), ...changelogFaults(readChanged(CHANGELOG), version)]);
  return changed;
}

/** The changelog entry of a version. */
function releaseNotes(version, text) {
  const found = parseChangelog(text).sections.find((section) => section.version === version);
  if (found === undefined) throw new Error(`${CHANGELOG}: no section of ${version}`);
  return found.body;
}

/** Describes the changed lines of a file. */
function describe(file, before, after) {
  const known = new Set(before.split('\n'));
  const lines = after.split('\n').filter((line) => !known.has(line));
  return lines.length === 0
    ? `${file}: unchanged`
    : `${file}:\n${lines.map((l) => `  ${l}`).join('\n')}`;
}

const quoted = (arg) => (arg.includes(' ') ? `'${arg}'` : arg);

async function main(args) {
  const { positionals, values } = parseArgs({
    args,
    allowPositionals: true,
    options: {
      commit: { type: 'boolean' },
      'dry-run': { type: 'boolean' },
      notes: { type: 'boolean' },
    },
  });
  const [version] = positionals;
  if (version === undefined) throw new Error('usage: npm run release -- VERSION [--dry-run]');
  if (values.notes) {
    console.log(releaseNotes(version, read(CHANGELOG)));
    return;
  }
  const changed = prepareRelease(version, new Date().toISOString().slice(0, 10), read);
  for (const [file, text] of changed) console.log(describe(file, read(file), text));
  if (values['dry-run']) {
    console.log('Nothing was changed.');
    return;
  }
  const tag = `v${version}`;
  const steps = [
    ['git', 'commit', '--all', '--message', `docs: release ${version}`],
    ['git', 'tag', '--annotate', tag, '--message', tag],
  ];
  if (values.commit && (await run('git', ['status', '--porcelain'], { capture: true })) !== '') {
    throw new Error('the tree has uncommitted changes');
  }
  for (const [file, text] of changed) fs.writeFileSync(path.join(root, file), text);
  if (!values.commit) console.log('Next:');
  for (const [command, ...rest] of steps) {
    if (values.commit) await run(command, rest);
    else console.log(`  ${[command, ...rest].map(quoted).join(' ')}`);
  }
  console.log(`Then push the commit, and the tag when its tests are green: git push origin ${tag}`);
}

module.exports = { prepareRelease, releaseNotes };

runMain(module, main);
