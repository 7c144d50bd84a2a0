'use strict';

// The packages of dist/ under Jest, and in a Backstage backend.

const assert = require('node:assert/strict');
const path = require('node:path');
const { describe, it } = require('node:test');
const { setStage } = require('../../examples/backstage-plugin/stage.js');
const { ROOT, installByHand, readMain, readOwnPlatform } = require('./support/dist.js');
const { LIMIT_MS, makeProject } = require('./support/project.js');

const JEST_TEST = `
const { KeycloakTokenError, KeycloakTokenManager } = require('keycloak-token-manager');
const { startFakeTokenEndpoint } = require('keycloak-token-manager/testing');

test('a token and a refusal', async () => {
  const endpoint = await startFakeTokenEndpoint();
  const options = { tokenEndpoint: endpoint.tokenEndpoint, clientId: 'test-client' };
  const manager = new KeycloakTokenManager({ ...options, clientSecret: 'test-secret' });
  expect((await manager.getToken()).split('.')).toHaveLength(3);
  const refused = new KeycloakTokenManager({ ...options, clientSecret: 'wrong' }).getToken();
  await expect(refused).rejects.toBeInstanceOf(KeycloakTokenError);
  await expect(refused).rejects.toMatchObject({ code: 'ERR_KEYCLOAK_OAUTH' });
  manager.close();
  await endpoint.close();
});
`;

describe('the published packages', { timeout: 6 * LIMIT_MS }, () => {
  it('work under Jest', async (t) => {
    const project = makeProject(t, { 'one.test.js': JEST_TEST, 'two.test.js': JEST_TEST });
    installByHand(project.folder, readMain(), readOwnPlatform());
    const jest = path.join(ROOT, 'node_modules', 'jest', 'bin', 'jest.js');
    const report = path.join(project.folder, 'report.json');
    await project.run(process.execPath, [
      jest,
      '--ci',
      '--rootDir',
      project.folder,
      '--detectOpenHandles',
      '--json',
      '--outputFile',
      report,
    ]);
    const { success, numPassedTests, openHandles } = require(report);
    assert.deepEqual([success, numPassedTests, openHandles], [true, 2, []]);
  });

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
});
