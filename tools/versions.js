'use strict';

// The places that contain the version of the package.

const NUMBER = '\\d+\\.\\d+\\.\\d+[\\w.-]*';
const NAME = 'keycloak-token-manager';
const CRATES = [NAME, 'keycloak-manager', 'keycloak-oauth', 'keycloak-transport', 'stand-ins'];

/** The files, each with a pattern for the text before the version. */
const places = [
  ['package.json', '^  "version": "'],
  ['package-lock.json', '^  "version": "'],
  ['package-lock.json', `^    "": \\{\\n      "name": "${NAME}",\\n      "version": "`],
  ['Cargo.toml', '^\\[workspace\\.package\\]\\nversion = "'],
  ...CRATES.map((name) => ['Cargo.lock', `^name = "${name}"\\nversion = "`]),
  ['examples/backstage-plugin/agents-backend/package.json', `^    "${NAME}": "\\^`],
].map(([file, before]) => ({ file, pattern: new RegExp(`(?<=${before})${NUMBER}(?=")`, 'm') }));

/** Returns the contents of the files with another version, keyed by name. */
function withVersion(read, version) {
  const changed = new Map();
  for (const { file, pattern } of places) {
    changed.set(file, (changed.get(file) ?? read(file)).replace(pattern, version));
  }
  return changed;
}

/** Describes the places whose version differs from the version in package.json. */
function versionFaults(read) {
  const expected = JSON.parse(read('package.json')).version;
  return places
    .map(({ file, pattern }) => ({ file, version: pattern.exec(read(file))?.[0] }))
    .filter(({ version }) => version !== expected)
    .map(({ file, version }) => `${file}: version ${version}, but package.json has ${expected}`);
}

module.exports = { versionFaults, withVersion };
