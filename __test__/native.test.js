'use strict';

// The loader of the native side, in a folder with fake packages: the package that it selects
// on each platform, and its errors.

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

/** A folder with the loader and the packages given by name: their version and their code. */
function layOut(t, packages) {
  const folder = makeFolder(t);
  const write = (name, content) => {
    mkdirSync(path.dirname(path.join(folder, name)), { recursive: true });
    writeFileSync(path.join(folder, name), content);
  };
  cpSync(path.join(__dirname, '..', 'lib', 'native.js'), path.join(folder, 'lib', 'native.js'));
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

/** The result or the error of the loader in a Node for that system. */
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
  it('takes the package of the platform among others', (t) => {
    const folder = layOut(t, all());
    for (const [name, target] of Object.entries(targets)) assert.equal(load(folder, target), name);
  });

  it('reads the C library in the report if the program does not show it', (t) => {
    const folder = layOut(t, all());
    const { glibcVersionRuntime } = process.report.getReport().header;
    const abi = glibcVersionRuntime === undefined ? 'musl' : 'gnu';
    const target = { os: 'linux', cpu: 'x64', libc: 'absent' };
    assert.equal(load(folder, target), `linux-x64-${abi}`);
  });

  it('names the platform, the package and the usual causes of its absence', (t) => {
    const { 'linux-x64-gnu': target, ...others } = targets;
    const present = Object.fromEntries(Object.keys(others).map((name) => [name, {}]));
    const said = load(layOut(t, present), target);
    assert.ok(said.includes(`(linux, x64, glibc, Node ${process.version})`), said);
    assert.ok(said.includes(`${findPlatformPackage('linux-x64-gnu')}@${VERSION}`), said);
    for (const cause of ['--omit=optional', 'lock file', 'container', 'Alpine']) {
      assert.ok(said.includes(cause), said);
    }
  });

  it('names the supported platforms on another one', (t) => {
    const said = load(layOut(t, all()), { os: 'freebsd', cpu: 'x64' });
    assert.match(said, /no native binary for this platform \(freebsd, x64, Node /);
    for (const name of Object.keys(targets)) assert.ok(said.includes(name), said);
  });

  it('refuses a package of another version', (t) => {
    const folder = layOut(t, { 'linux-x64-gnu': { version: '1.2.4' } });
    const said = load(folder, targets['linux-x64-gnu']);
    assert.match(said, /keycloak-token-manager 1\.2\.3 found .+-linux-x64-gnu 1\.2\.4: both must/);
  });

  it('reports the reason why a package cannot be loaded', (t) => {
    const code = 'throw new Error("GLIBC_2.17 not found");';
    const folder = layOut(t, { 'linux-x64-gnu': { code } });
    const said = load(folder, targets['linux-x64-gnu']);
    assert.match(said, /cannot load .+-linux-x64-gnu@1\.2\.3 .+: GLIBC_2\.17 not found/);
  });

  it('prefers a binary that was built beside it', (t) => {
    const folder = layOut(t, { 'linux-x64-gnu': {} });
    writeFileSync(path.join(folder, 'keycloak-token-manager.linux-x64-gnu.node'), 'no binary');
    const said = load(folder, targets['linux-x64-gnu']);
    assert.match(said, /keycloak-token-manager\.linux-x64-gnu\.node: /);
  });
});
