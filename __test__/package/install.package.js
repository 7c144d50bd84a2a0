'use strict';

// Installs the packages of dist/ from a registry into an empty project, and gets the first token.

const assert = require('node:assert/strict');
const { mkdirSync, readFileSync, readdirSync, symlinkSync } = require('node:fs');
const path = require('node:path');
const { after, before, describe, it } = require('node:test');
const { nodeBinary, nodeMajors } = require('../../tools/node-versions.js');
const { findPlatformPackage } = require('../../tools/package/platform-package.js');
const { ownTarget } = require('../../tools/package/targets.js');
const { findBlocks } = require('../support/documents.js');
const { NAME } = require('./support/dist.js');
const {
  LIMIT_MS,
  checkOutput,
  makeProject,
  managers,
  npmProgram,
  prepare,
  programs,
} = require('./support/project.js');
const { startRegistry } = require('./support/registry.js');

const FIRST_TOKEN_WITHIN_MS = 10_000;
const OWN = findPlatformPackage(ownTarget());
/** A program that runs the doctor with a configuration file for an endpoint. */
const ENDPOINT = `
const { execFile } = require('node:child_process');
const { writeFileSync } = require('node:fs');
const { startFakeTokenEndpoint } = require('keycloak-token-manager/testing');
(async () => {
  const endpoint = await startFakeTokenEndpoint();
  writeFileSync('app-config.yaml', JSON.stringify({ boost: { kagenti: { auth: {
    tokenEndpoint: endpoint.tokenEndpoint, clientId: 'test-client', clientSecret: 'test-secret',
  } } } }));
  const args = ['--no', 'keycloak-token-manager', '--', 'doctor', '--json'];
  const config = ['--config', 'app-config.yaml'];
  execFile(process.execPath, [process.argv[2], ...args, ...config], async (_error, stdout) => {
    await endpoint.close();
    console.log(stdout);
  });
})();
`;
let registry;
before(async () => {
  registry = await startRegistry();
});
after(() => registry.close());

for (const major of nodeMajors) {
  describe(`Node ${major}`, { timeout: 4 * LIMIT_MS }, () => {
    for (const name of Object.keys(managers)) {
      it(`a clean installation by ${name} works with require and import`, async (t) => {
        const node = await nodeBinary(major);
        const project = makeProject(t);
        const { install, start } = await prepare(name, project, registry.url, node);
        const first = registry.downloads.length;
        const begun = performance.now();
        await install();
        checkOutput(await start('commonjs.cjs'), major);
        const tookMs = performance.now() - begun;
        checkOutput(await start('esm.mjs'), major);
        t.diagnostic(`${(tookMs / 1000).toFixed(1)} s from nothing to a token`);
        assert.ok(tookMs < FIRST_TOKEN_WITHIN_MS, `${tookMs} ms to the first token`);
        const fetched = registry.downloads.slice(first);
        assert.ok(fetched.includes(NAME) && fetched.includes(OWN), `fetched ${fetched}`);
        // Yarn 1 fetches all packages, and ignores the C library.
        if (name === 'yarn 1') {
          const isFit = (entry) =>
            entry === NAME || entry.startsWith(OWN.replace(/(gnu|musl)$/, ''));
          const installed = readdirSync(path.join(project.folder, 'node_modules'));
          const packages = installed.filter((entry) => !entry.startsWith('.'));
          assert.ok(packages.every(isFit), `installed ${packages}`);
        } else {
          assert.equal(fetched.length, 2, `fetched ${fetched}`);
        }
      });
    }
  });
}

describe('an installation', { timeout: LIMIT_MS }, () => {
  it('has a program that npx starts and that obtains a token', async (t) => {
    const project = makeProject(t, { 'endpoint.cjs': ENDPOINT });
    const { install } = await prepare('npm', project, registry.url);
    await install();
    const npx = path.join(path.dirname(npmProgram()), 'npx-cli.js');
    const help = await project.run(process.execPath, [npx, '--no', NAME, '--', '--help']);
    assert.match(help, /^Usage: keycloak-token-manager <command>/);
    const output = await project.run(process.execPath, ['endpoint.cjs', npx]);
    const { ok, findings } = JSON.parse(output);
    assert.ok(ok, output);
    assert.match(findings[1].text, /section boost\.kagenti\.auth/);
    assert.equal(findings.at(-1).details.azp, 'test-client');
  });

  it('requires only Node, and no compiler', async (t) => {
    const project = makeProject(t);
    const bin = path.join(project.folder, 'bin');
    mkdirSync(bin);
    symlinkSync(process.execPath, path.join(bin, 'node'));
    await prepare('npm', project, registry.url);
    const env = { PATH: bin, PYTHON: undefined, CC: undefined };
    await project.run(process.execPath, [npmProgram(), 'install', NAME], { env });
    const [major] = process.versions.node.split('.');
    checkOutput(await project.run('node', ['commonjs.cjs'], { env }), major);
    assert.deepEqual(readdirSync(bin), ['node']);
  });

  it('into the backend of a Backstage app follows docs/backstage.md', async (t) => {
    const backend = path.join('packages', 'backend');
    const project = makeProject(t, {
      'package.json': '{ "name": "app", "private": true, "workspaces": ["packages/*"] }',
      [path.join(backend, 'package.json')]: '{ "name": "backend", "private": true }',
      [path.join(backend, 'index.cjs')]: programs['commonjs.cjs'],
    });
    const { run } = await prepare('yarn 4', project, registry.url);
    const [{ code }] = findBlocks('docs/backstage.md', 'sh', 'yarn');
    const [program, ...args] = code.trim().split(' ');
    assert.equal(program, 'yarn');
    await run(...args);
    const manifest = readFileSync(path.join(project.folder, backend, 'package.json'), 'utf8');
    assert.deepEqual(Object.keys(JSON.parse(manifest).dependencies), [NAME]);
    checkOutput(await project.run(process.execPath, [path.join(backend, 'index.cjs')]));
  });

  it('without optional dependencies causes an error that names the missing package and the cause', async (t) => {
    const project = makeProject(t);
    const { install, start } = await prepare('npm', project, registry.url);
    await install('--omit=optional');
    const error = await start('commonjs.cjs').catch((reason) => reason);
    assert.match(error.message, new RegExp(`cannot find its native binary.+\\n?.*${OWN}@`));
    assert.match(error.message, /--omit=optional/);
  });
});
