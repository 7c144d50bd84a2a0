'use strict';

// The loader of the native side, in a folder with fake packages: the package that the loader
// selects on each platform, and its errors.

const assert = require('node:assert/strict');
const { execFileSync } = require('node:child_process');
const { cpSync, mkdirSync, writeFileSync } = require('node:fs');
const path = require('node:path');
const { describe, it } = require('node:test');
const { findPlatformPackage } = require('../tools/package/platform-package.js');
const { targets } = require('../tools/package/targets.js');
const { makeFolder } = require('./support/files.js');

const VERSION = '1.2.3';
const LOADERS = { glibc: '/lib64/ld-linux-x86-64.so.2', musl: '/lib/ld-musl-x86_64.so.1' };

/** Makes a folder with the loader and the given packages, each with its version and its code. */
function layOut(t, packages) {
  const folder = makeFolder(t);
  const write = (name, content) => {
    mkdirSync(path.dirname(path.join(folder, name)), { recursive: true });
    writeFileSync(path.join(folder, name), content);
  };
  for (const file of ['native.js', 'platform-packages.js']) {
    cpSync(path.join(__dirname, '..', 'lib', file), path.join(folder, 'lib', file));
  }
  write('package.json', JSON.stringify({ version: VERSION }));
  for (const [name, { version: own = VERSION, code }] of Object.entries(packages)) {
    const to = path.join('node_modules', findPlatformPackage(name));
    write(path.join(to, 'package.json'), JSON.stringify({ version: own, main: 'index.js' }));
    const native = JSON.stringify({ name, VERSION: own });
    write(path.join(to, 'index.js'), code ?? `module.exports = ${native};`);
  }
  for (const [libc, loader] of Object.entries(LOADERS)) write(libc, `\x7fELF${loader}\0`);
  return folder;
}

/** Runs the loader as if Node were built for that system, and returns its result or error. */
function load(folder, { os: platform, cpu: arch, libc }) {
  const as = { platform, arch };
  if (libc !== undefined) as.execPath = path.join(folder, libc);
  const program = `
    for (const [key, value] of Object.entries(${JSON.stringify(as)})) {
      Object.defineProperty(process, key, { value });
    }
    try {
      console.log(require('./lib/native.js').name);
    } catch (error) {
      console.log(error.message);
    }`;
  return execFileSync(process.execPath, ['-e', program], { cwd: folder, encoding: 'utf8' }).trim();
}

const all = () => Object.fromEntries(Object.keys(targets).map((name) => [name, {}]));

describe('the loader', () => {
  it('loads the package for the platform among other packages', (t) => {
    const folder = layOut(t, all());
    for (const [name, target] of Object.entries(targets)) assert.equal(load(folder, target), name);
  });

  it('finds the C library in the process report if the program does not show it', (t) => {
    const folder = layOut(t, all());
    const { glibcVersionRuntime } = process.report.getReport().header;
    const abi = glibcVersionRuntime === undefined ? 'musl' : 'gnu';
    const target = { os: 'linux', cpu: 'x64', libc: 'absent' };
    assert.equal(load(folder, target), `linux-x64-${abi}`);
  });

  it('names the platform, the package and the usual causes of its absence', (t) => {
    const said = load(layOut(t, {}), targets['linux-x64-gnu']);
    assert.ok(said.includes(`(linux, x64, glibc, Node ${process.version})`), said);
    assert.ok(said.includes(`${findPlatformPackage('linux-x64-gnu')}@${VERSION}`), said);
    for (const cause of ['--omit=optional', 'lock file', 'a bundle was built on another system']) {
      assert.ok(said.includes(cause), said);
    }
  });

  for (const [difference, installed] of [
    ['C library', 'linux-x64-musl'],
    ['processor', 'linux-arm64-gnu'],
    ['system', 'darwin-arm64'],
  ]) {
    it(`says that the package for another ${difference} is installed`, (t) => {
      const said = load(layOut(t, { [installed]: {} }), targets['linux-x64-gnu']);
      assert.ok(said.includes(`another platform is installed (${installed})`), said);
      assert.match(said, /Install the dependencies in the image that runs the code/);
    });
  }

  it('names the supported platforms on an unsupported platform', (t) => {
    const said = load(layOut(t, all()), { os: 'freebsd', cpu: 'x64' });
    assert.match(said, /no native binary for this platform \(freebsd, x64, Node /);
    for (const name of Object.keys(targets)) assert.ok(said.includes(name), said);
  });

  it('refuses a package of another version', (t) => {
    const folder = layOut(t, { 'linux-x64-gnu': { version: '1.2.4' } });
    const said = load(folder, targets['linux-x64-gnu']);
    assert.match(said, /keycloak-token-manager 1\.2\.3 found .+-linux-x64-gnu 1\.2\.4: both must/);
  });

  const FOLDER = '/app/node_modules/keycloak-token-manager-linux-x64-gnu';
  const BINARY = `${FOLDER}/keycloak-token-manager.linux-x64-gnu.node`;
  const noFile = 'cannot open shared object file: No such file or directory';
  const otherLibc = ['a different C library', 'install again'];
  for (const [what, message, means, advice, code = 'ERR_DLOPEN_FAILED'] of [
    [
      '--permission without --allow-addons',
      'Cannot load native addon',
      'without permission to load native addons',
      '--allow-addons',
      'ERR_DLOPEN_DISABLED',
    ],
    [
      '--permission without --allow-fs-read',
      'Access to this API has been restricted',
      'without permission to read the package',
      '--allow-fs-read',
      'ERR_ACCESS_DENIED',
    ],
    ['noexec', `${BINARY}: failed to map segment`, 'mounted with noexec', 'without noexec'],
    ['an old glibc', "version `GLIBC_2.17' not found", "this system's glibc is too old", '2.17 or'],
    ['musl under glibc', `libc.musl-x86_64.so.1: ${noFile}`, ...otherLibc],
    ['glibc under musl', 'Error loading shared library ld-linux-x86-64.so.2', ...otherLibc],
    ['another processor', `${BINARY}: ${noFile}`, 'another processor', 'install again'],
    ['a damaged binary', `${BINARY}: file too short`, 'is damaged', 'install again'],
    ['an unknown cause', 'no memory', '(linux, x64, glibc,', 'The cause: no memory'],
  ]) {
    it(`names the cause and the remedy for ${what}`, (t) => {
      const fault = JSON.stringify({ code, message });
      const thrown = `throw Object.assign(new Error(), ${fault});`;
      const folder = layOut(t, { 'linux-x64-gnu': { code: thrown } });
      const said = load(folder, targets['linux-x64-gnu']);
      assert.match(said, /cannot load keycloak-token-manager-linux-x64-gnu@1\.2\.3/);
      for (const part of [means, advice, `The cause: ${message}`]) {
        assert.ok(said.includes(part), said);
      }
    });
  }

  it('prefers a binary in its own folder', (t) => {
    const folder = layOut(t, { 'linux-x64-gnu': {} });
    writeFileSync(path.join(folder, 'keycloak-token-manager.linux-x64-gnu.node'), 'no binary');
    const said = load(folder, targets['linux-x64-gnu']);
    assert.match(said, /keycloak-token-manager\.linux-x64-gnu\.node: /);
  });
});
