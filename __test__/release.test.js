'use strict';

// The requirements of a release: the form of the changelog, and one version in every manifest.

const assert = require('node:assert/strict');
const { readFileSync } = require('node:fs');
const path = require('node:path');
const { describe, it } = require('node:test');
const { changelogFaults } = require('../tools/changelog.js');
const { prepareRelease, releaseNotes } = require('../tools/release.js');
const { versionFaults } = require('../tools/versions.js');

const INTRODUCTION = '# Changelog\n\nhttps://keepachangelog.com https://semver.org\n\n';
const RELEASED = '## 1.2.0 - 2026-02-28\n\n### Fixed\n\n- One.\n';
const OLDER = '## 1.1.0 - 2026-01-31\n\n### Added\n\n- Two\n  lines.\n\n### Fixed\n\n- One.\n';
const GOOD = `${INTRODUCTION}## Unreleased\n\n${RELEASED}\n${OLDER}`;
/** Reads a file: its given content, or else its content in the checkout. */
const reader =
  (files = {}) =>
  (file) =>
    files[file] ?? readFileSync(path.join(__dirname, '..', file), 'utf8');

describe('the check of the changelog', () => {
  it('accepts a changelog of the right form', () => {
    assert.deepEqual(changelogFaults(GOOD, '1.2.0'), []);
  });

  const wrong = [
    ['no section for unreleased changes', GOOD.replace('## Unreleased\n', ''), /not Unreleased/],
    ['a malformed version', GOOD.replace('1.1.0 -', '1.1 -'), /1\.1 - .*expected the form/],
    ['an impossible day', GOOD.replace('2026-02-28', '2026-02-29'), /does not exist/],
    [
      'the oldest release first',
      `${INTRODUCTION}## Unreleased\n\n${OLDER}\n${RELEASED}`,
      /not newer/,
    ],
    [
      'a newest version that differs from the manifests',
      GOOD.replaceAll('1.2.0', '1.3.0'),
      /is 1\.3\.0/,
    ],
    ['a group of another name', GOOD.replace('### Added', '### New'), /groups Added/],
    ['a group twice', GOOD.replace('### Added', '### Fixed'), /once/],
    ['an empty release', GOOD.replace('### Fixed\n\n- One.\n\n##', '##'), /1\.2\.0 .*is empty/],
    ['text that is not a list', GOOD.replace('- One.', 'One.'), /not a list/],
    ['text outside of the groups', GOOD.replace('### Added', 'Hello.\n\n### Added'), /before/],
  ];
  for (const [name, text, expected] of wrong) {
    it(`finds ${name}`, () => {
      const faults = changelogFaults(text, '1.2.0');
      assert.match(faults.join('\n'), expected);
    });
  }
});

describe('a release', () => {
  const changelog = `${INTRODUCTION}## Unreleased\n\n### Added\n\n- All.\n`;
  const read = reader({ 'CHANGELOG.md': changelog });

  it('has its version in every manifest, and its changes under that version', () => {
    const changed = prepareRelease('7.8.9', '2031-02-03', read);
    const readChanged = (file) => changed.get(file) ?? read(file);
    assert.equal(JSON.parse(readChanged('package.json')).version, '7.8.9');
    const lock = JSON.parse(readChanged('package-lock.json'));
    assert.deepEqual([lock.version, lock.packages[''].version], ['7.8.9', '7.8.9']);
    assert.match(readChanged('Cargo.toml'), /^version = "7\.8\.9"$/m);
    assert.deepEqual(versionFaults(readChanged), []);
    const text = changed.get('CHANGELOG.md');
    assert.ok(text.includes('## Unreleased\n\n## 7.8.9 - 2031-02-03\n\n### Added\n'));
    assert.equal(releaseNotes('7.8.9', text), '### Added\n\n- All.');
  });

  it('changes only lines with the version', () => {
    for (const [file, text] of prepareRelease('7.8.9', '2031-02-03', read)) {
      const former = new Set(read(file).split('\n'));
      const lines = text.split('\n').filter((line) => !former.has(line));
      assert.ok(lines.length > 0 && lines.every((line) => line.includes('7.8.9')), file);
    }
  });

  const refused = [
    ['a malformed version', '1.0', {}, /invalid version/],
    ['nothing to release', '7.8.9', { 'CHANGELOG.md': changelog.split('###')[0] }, /no unreleased/],
    ['manifests that differ', '7.8.9', { 'Cargo.toml': 'version = "0.0.0"\n' }, /Cargo\.toml/],
  ];
  for (const [name, version, files, expected] of refused) {
    it(`fails with ${name}`, () => {
      const readThese = reader({ 'CHANGELOG.md': changelog, ...files });
      assert.throws(() => prepareRelease(version, '2031-02-03', readThese), expected);
    });
  }

  it('fails for a version that is already released', () => {
    const first = prepareRelease('7.8.9', '2031-02-03', read);
    const again = (file) =>
      (first.get(file) ?? read(file)).replace(
        '## Unreleased\n',
        '## Unreleased\n\n### Fixed\n\n- X.\n',
      );
    assert.throws(() => prepareRelease('7.8.9', '2031-02-04', again), /already released/);
  });
});
