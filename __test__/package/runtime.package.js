'use strict';

// The packages of dist/ in a Backstage backend, under Node's permission model, on read-only and
// noexec file systems, and in Jest configurations that `suite.package.js` does not cover.

const assert = require('node:assert/strict');
const { spawnSync } = require('node:child_process');
const path = require('node:path');
const { describe, it } = require('node:test');
const { setStage } = require('../../examples/backstage-plugin/stage.js');
const { ROOT, installByHand, readMain, readOwnPlatform } = require('./support/dist.js');
const { LIMIT_MS, checkOutput, makeProject } = require('./support/project.js');

const NODE_MAJOR = Number(process.versions.node.split('.')[0]);
const PERMISSION = NODE_MAJOR < 22 ? '--experimental-permission' : '--permission';
const JEST = path.join(ROOT, 'node_modules', 'jest', 'bin', 'jest.js');
/** Arguments of `unshare` that mount the current folder with an option and run Node there. */
const MOUNT = 'mount --bind . . && mount -o "remount,bind,$0" . && cd "$PWD" && exec "$@"';
const mounted = (option) => ['-rm', 'sh', '-c', MOUNT, option, process.execPath];
const canMount = spawnSync('unshare', [...mounted('ro'), '--version']).status === 0;

/** A test for Jest, for either kind of module. */
const jestTest = (load) => `${load}
test('obtains a token', async () => {
  const endpoint = await startFakeTokenEndpoint();
  const manager = new KeycloakTokenManager({
    tokenEndpoint: endpoint.tokenEndpoint, clientId: 'test-client', clientSecret: 'test-secret',
  });
  expect(await manager.getToken()).toMatch(/^ey/);
  await manager.close();
  await endpoint.close();
});
`;
const COMMONJS = `
const { KeycloakTokenManager } = require('keycloak-token-manager');
const { startFakeTokenEndpoint } = require('keycloak-token-manager/testing');`;
const ES_MODULE = COMMONJS.replace(/const (.+) = require\((.+)\);/g, 'import $1 from $2;');

/** A project with the published packages. */
function projectWith(t, files) {
  const project = makeProject(t, files);
  installByHand(project.folder, readMain(), readOwnPlatform());
  return project;
}

describe('the published packages', { timeout: 6 * LIMIT_MS }, () => {
  it('serve a Backstage backend and its plugin', async (t) => {
    const { api, end, output, url, userToken } = await setStage({
      embedded: true,
      install: (folder) => installByHand(folder, readMain(), readOwnPlatform()),
      log: (line) => t.diagnostic(line),
    });
    try {
      const response = await fetch(url, { headers: { authorization: `Bearer ${userToken}` } });
      assert.equal(response.status, 200, `${await response.text()}\n${output()}`);
      assert.ok(api.requests.length > 0);
    } finally {
      await end();
    }
  });

  it('obtain a token under the permission model of Node', async (t) => {
    const project = projectWith(t);
    const allowed = ['--allow-addons', `--allow-fs-read=${project.folder}`];
    checkOutput(
      await project.run(process.execPath, [PERMISSION, ...allowed, 'commonjs.cjs'], {
        env: { NODE_NO_WARNINGS: '1' },
      }),
    );
  });

  const skip = !canMount && 'needs unshare with user namespaces, of util-linux';

  it('obtain a token on a read-only file system', { skip }, async (t) => {
    checkOutput(await projectWith(t).run('unshare', [...mounted('ro'), 'commonjs.cjs']));
  });

  it('name a file system that is mounted with noexec', { skip }, async (t) => {
    const running = projectWith(t).run('unshare', [...mounted('noexec'), 'commonjs.cjs']);
    await assert.rejects(running, /mounted with noexec/);
  });

  for (const [name, file, load, settings, flags] of [
    ['with ES modules', 'a.test.mjs', ES_MODULE, {}, ['--experimental-vm-modules']],
    ['that resolves no .node file', 'a.test.js', COMMONJS, { moduleFileExtensions: ['js'] }, []],
  ]) {
    it(`obtain a token in a Jest ${name}`, async (t) => {
      const project = projectWith(t, { [file]: jestTest(load) });
      const config = { testMatch: ['**/a.test.*'], transform: {}, testEnvironment: 'node' };
      project.write('jest.config.json', JSON.stringify({ ...config, ...settings }));
      await project.run(process.execPath, [...flags, JEST, '--ci', '--rootDir', project.folder]);
    });
  }
});
