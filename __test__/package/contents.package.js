'use strict';

// The contents of the packages in dist/, and the findings of package checkers.

const assert = require('node:assert/strict');
const { createHash } = require('node:crypto');
const { execFile } = require('node:child_process');
const { readdirSync, readFileSync, writeFileSync } = require('node:fs');
const path = require('node:path');
const { describe, it } = require('node:test');
const { promisify } = require('node:util');
const { binaryFaults } = require('../../tools/package/check-binary.js');
const { whereabouts } = require('../../tools/package/main-package.js');
const { findBinary, findPlatformPackage } = require('../../tools/package/platform-package.js');
const { ownTarget, targets } = require('../../tools/package/targets.js');
const {
  DIST,
  NAME,
  ROOT,
  builtTargets,
  readMain,
  readPackage,
  version,
} = require('./support/dist.js');
const { makeFolder } = require('../support/files.js');
const { LIMIT_MS, tools } = require('./support/project.js');

/** The limit includes 270 kB for the program, 138 kB of which are its YAML library. */
const MAIN_LIMIT = 720_000;
const PLATFORM_LIMIT = 4_500_000;
const BINARY_LIMIT = 4_250_000;
const unpackedSize = ({ files }) =>
  [...files.values()].reduce((sum, content) => sum + content.length, 0);
const sha256 = (content) => createHash('sha256').update(content).digest('hex');
const read = (...parts) => readFileSync(path.join(ROOT, ...parts));

/** Runs one of the package tools and returns its exit status and output. */
async function runTool(script, ...args) {
  const file = path.join(await tools(), script);
  return promisify(execFile)(process.execPath, [file, ...args]).catch((error) => error);
}

describe('the main package', { timeout: LIMIT_MS }, () => {
  const main = readMain();

  it('is small, and contains only its code, types and documents', (t) => {
    const size = unpackedSize(main);
    t.diagnostic(`${size} bytes in ${main.files.size} files, ${main.archive.length} packed`);
    assert.ok(size <= MAIN_LIMIT, `${size} bytes`);
    const allowed =
      /^((index|lib\/([a-z]+\/)?[a-z-]+)(\.d)?\.[jt]s|config\.schema\.json|package\.json|LICENSE|README\.md|THIRD-PARTY\.txt)$/;
    assert.deepEqual(
      [...main.files.keys()].filter((file) => !allowed.test(file)),
      [],
    );
  });

  it('contains the files from the checkout that users need', () => {
    for (const entry of ['backstage', 'opentelemetry', 'store', 'testing']) {
      for (const file of readdirSync(path.join(ROOT, 'lib', entry))) {
        assert.ok(main.files.has(`lib/${entry}/${file}`), file);
      }
    }
    const loaded = main.files.get('index.js').toString();
    assert.deepEqual(
      Array.from(
        loaded.matchAll(/require\(['"](?!node:)([^'"]+)['"]\)/g),
        ([, name]) => name,
      ).sort(),
      ['@opentelemetry/api', ...Object.keys(targets).map(findPlatformPackage)].sort(),
      'it has no other dependency, and the first one is an optional peer',
    );
    const types = [...main.files.keys()].filter((file) => file.endsWith('.d.ts'));
    for (const file of [...types, 'README.md', 'LICENSE']) {
      assert.ok(main.files.get(file).equals(read(file)), `${file} differs`);
    }
    const schema = 'config.schema.json';
    assert.deepEqual(JSON.parse(main.files.get(schema)), JSON.parse(read(schema)));
  });

  it('contains the program as one file, with the library that it includes', () => {
    const names = [...main.files.keys()].filter((file) => file.startsWith('lib/cli/'));
    assert.deepEqual(names, [main.manifest.bin[NAME]]);
    const program = main.files.get(names[0]).toString();
    assert.ok(program.startsWith('#!/usr/bin/env node\n'));
    const loaded = program.matchAll(/= require\("(?!node:)([^"]+)"\)/g);
    assert.deepEqual(
      Array.from(loaded, ([, name]) => name).sort(),
      ['../../index.js', '../../lib/backstage/config.js', '../../package.json'],
      'it has no other dependency',
    );
    const licences = main.files.get('THIRD-PARTY.txt').toString();
    assert.match(licences, /^lib\/cli\/index\.js contains js-yaml [\d.]+: MIT\n/);
    assert.ok(licences.includes(read('node_modules', 'js-yaml', 'LICENSE').toString()));
  });

  it('has a manifest without the fields that only the checkout needs', () => {
    const { manifest } = main;
    const own = JSON.parse(read('package.json'));
    for (const key of ['private', 'scripts', 'devDependencies', 'napi', 'dependencies']) {
      assert.equal(manifest[key], undefined, key);
    }
    const kept = 'name version license engines exports bin configSchema peerDependencies'.split(
      ' ',
    );
    for (const key of kept) assert.deepEqual(manifest[key], own[key], key);
    assert.ok(manifest.keywords.includes('keycloak'));
    const packages = Object.keys(targets).map((name) => [findPlatformPackage(name), version]);
    assert.deepEqual(Object.entries(manifest.optionalDependencies), packages);
  });

  it('names the location of its sources only if there is one', () => {
    assert.deepEqual(whereabouts(undefined), {});
    assert.deepEqual(whereabouts('https://git.example/team/project'), {
      homepage: 'https://git.example/team/project#readme',
      repository: { type: 'git', url: 'git+https://git.example/team/project.git' },
      bugs: { url: 'https://git.example/team/project/issues' },
    });
    assert.throws(() => whereabouts('http://git.example/team/project'), /https URL/);
    assert.throws(() => whereabouts('git.example/team/project'), /Invalid URL/);
  });

  it('passes publint', async () => {
    const { code, stdout, stderr } = await runTool('publint/src/cli.js', main.file, '--strict');
    assert.equal(code, undefined, `${stdout}${stderr}`);
    assert.match(stdout, /All good!/);
  });

  it('passes arethetypeswrong', async () => {
    const cli = '@arethetypeswrong/cli/dist/index.js';
    const looks = ['--no-emoji', '--no-color', '--format', 'ascii'];
    const outcome = await runTool(cli, '--profile', 'node16', ...looks, main.file);
    assert.equal(outcome.code, undefined, `${outcome.stdout}${outcome.stderr}`);
    const rows = outcome.stdout.match(/^(node16 \(from (CJS|ESM)\)|bundler): .*$/gm);
    assert.equal(rows.length, 3 * Object.keys(main.manifest.exports).length);
    for (const row of rows) assert.match(row, /: OK/);
  });
});

for (const name of builtTargets()) {
  describe(`the package of ${name}`, { timeout: LIMIT_MS }, () => {
    const found = readPackage(findPlatformPackage(name));
    const binary = found.files.get(findBinary(name));

    it('is small, and holds the binary and the licences', (t) => {
      const size = unpackedSize(found);
      t.diagnostic(`${size} bytes, the binary ${binary.length}, ${found.archive.length} packed`);
      assert.ok(size <= PLATFORM_LIMIT, `${size} bytes`);
      assert.ok(binary.length <= BINARY_LIMIT, `${binary.length} bytes`);
      assert.deepEqual(
        [...found.files.keys()].sort(),
        ['LICENSE', 'README.md', 'THIRD-PARTY.txt', findBinary(name), 'package.json'].sort(),
      );
    });

    it('is for one system, with the version of the main package', () => {
      const { os, cpu, libc } = targets[name];
      const { manifest } = found;
      assert.deepEqual(
        [manifest.os, manifest.cpu, manifest.libc],
        [[os], [cpu], libc === undefined ? undefined : [libc]],
      );
      assert.equal(manifest.version, readMain().manifest.version);
      assert.deepEqual(manifest.engines, readMain().manifest.engines);
      assert.equal(manifest.main, findBinary(name));
    });

    it('has a binary that every such system can load', {
      skip: targets[name].os !== 'linux' && 'no ELF',
    }, (t) => {
      const file = path.join(makeFolder(t), findBinary(name));
      writeFileSync(file, binary);
      assert.deepEqual(binaryFaults(file, name), []);
    });

    it('has a binary without paths from the machine that built it', () => {
      const text = binary.toString('latin1');
      for (const folder of [ROOT, process.env.CARGO_HOME, process.env.HOME].filter(Boolean)) {
        assert.ok(folder === '/' || !text.includes(`${folder}/`), folder);
      }
    });

    it('names the same crates in the licences and the bill of materials', () => {
      const text = found.files.get('THIRD-PARTY.txt').toString();
      const [list] = text.split(`\n\n${'-'.repeat(72)}`);
      const lines = list.split('\n').slice(2);
      const texts = text.match(/^\(\d+\)$/gm).length;
      for (const line of lines) {
        const [, numbers] = /: .+ \(([\d, ]+)\)$/.exec(line) ?? assert.fail(line);
        for (const number of numbers.split(', ')) assert.ok(Number(number) <= texts, line);
      }
      const bill = JSON.parse(read('dist', `${found.name}-${version}.cdx.json`));
      const crates = bill.components.filter((crate) => crate.name !== 'std');
      const names = crates.map((crate) => `${crate.name} ${crate.version}: `);
      for (const part of ['ring ', 'rustls ', 'tokio ', 'Rust standard library ', ...names]) {
        assert.ok(text.includes(`\n${part}`), part);
      }
      const [{ hashes }] = bill.metadata.component.components;
      assert.equal(hashes[0].content, sha256(binary));
    });
  });
}

describe('dist', () => {
  it('holds the packages, their bills of materials and their hashes', () => {
    const own = findPlatformPackage(ownTarget());
    const files = readdirSync(DIST);
    for (const name of [NAME, own]) {
      for (const end of ['.tgz', '.cdx.json']) {
        assert.ok(files.includes(`${name}-${version}${end}`), name + end);
      }
    }
    const sums = read('dist', 'SHA256SUMS').toString().trimEnd().split('\n');
    assert.deepEqual(
      sums.map((line) => line.split('  ')[1]),
      files.filter((file) => file !== 'SHA256SUMS').sort(),
    );
    for (const line of sums) {
      const [hash, file] = line.split('  ');
      assert.equal(sha256(read('dist', file)), hash, file);
    }
  });
});
