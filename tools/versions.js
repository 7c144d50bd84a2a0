'use strict';

// Every place that holds the version of the package.

const NUMBER = '(\\d+\\.\\d+\\.\\d+[\\w.-]*)';
const NAME = 'keycloak-token-manager';
const CRATES = [NAME, 'keycloak-manager', 'keycloak-oauth', 'keycloak-transport', 'stand-ins'];

/** A pattern for each place, whose middle group is the version. */
const places = [
  { file: 'package.json', pattern: `^(  "version": ")${NUMBER}(",)$` },
  { file: 'package-lock.json', pattern: `^(  "version": ")${NUMBER}(",)$` },
  {
    file: 'package-lock.json',
    pattern: `^(    "": \\{\\n      "name": "${NAME}",\\n      "version": ")${NUMBER}(",)$`,
  },
  { file: 'Cargo.toml', pattern: `^(\\[workspace\\.package\\]\\nversion = ")${NUMBER}(")$` },
  ...CRATES.map((name) => ({
    file: 'Cargo.lock',
    pattern: `^(name = "${name}"\\nversion = ")${NUMBER}(")$`,
  })),
  {
    file: 'examples/backstage-plugin/agents-backend/package.json',
    pattern: `^(    "${NAME}": "\\^)${NUMBER}(",?)$`,
  },
];

/** The version in each place, as `{ file, version }`; `version` is `undefined` if it is missing. */
function readVersions(read) {
  return places.map(({ file, pattern }) => {
    const [, , version] = new RegExp(pattern, 'm').exec(read(file)) ?? [];
    return { file, version };
  });
}

/** The contents of the files with another version, by name. */
function withVersion(read, version) {
  const changed = new Map();
  for (const { file, pattern } of places) {
    const text = changed.get(file) ?? read(file);
    changed.set(file, text.replace(new RegExp(pattern, 'm'), `$1${version}$3`));
  }
  return changed;
}

/** The mismatches, as sentences. */
function versionFaults(read) {
  const [{ version: expected }, ...others] = readVersions(read);
  return others
    .filter(({ version }) => version === undefined || version !== expected)
    .map(
      ({ file, version = 'none' }) => `${file}: version ${version}, in package.json ${expected}`,
    );
}

module.exports = { readVersions, versionFaults, withVersion };
