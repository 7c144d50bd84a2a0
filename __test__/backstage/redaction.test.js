'use strict';

/**
 * The effect of the configuration schema in Backstage's own loader and in the loggers of real
 * backends, with the newest and the oldest supported release.
 */

const assert = require('node:assert/strict');
const { writeFile } = require('node:fs/promises');
const path = require('node:path');
const { describe, test } = require('node:test');
const { startBackend } = require('../../examples/backstage-plugin/backend-process.js');
const schema = require('../../config.schema.json');
const { configFile, KEY, nest, useWorkspace } = require('./support.js');
const { startEndpoint, until } = require('../support/manager.js');

// The secrets have the same length, so that the backend never reads a partial secret while the
// test overwrites the file in place.
const SECRET = 'canary-of-the-secret-1';
const ROTATED = 'canary-of-the-secret-2';
const SECTION = {
  tokenEndpoint: 'https://sso.example.org/token',
  clientId: 'kagenti-api',
  clientSecret: SECRET,
  requestTimeoutMs: '2500',
  scope: ['a', 'b'],
  resource: { baseUrl: 'https://api.example.org' },
};

describe('the configuration schema', () => {
  const workspace = useWorkspace();

  async function load() {
    const { loadConfigSchema } = workspace.require('@backstage/config-loader');
    return loadConfigSchema({
      serialized: {
        backstageConfigSchemaVersion: 1,
        schemas: [{ path: 'config.schema.json', value: schema, packageName: 'x' }],
      },
    });
  }

  test('hides the section from the frontend', async () => {
    const configs = [{ data: nest(KEY, SECTION), context: 'test' }];
    const [processed] = (await load()).process(configs, { visibility: ['frontend'] });
    assert.deepEqual(processed?.data ?? {}, {});
  });

  test('marks only secrets as secret, including the secrets of named clients', async () => {
    const toData = (section) => ({ ...nest(KEY, section), ...nest('keycloak.clients.a', section) });
    const configs = [{ data: toData(SECTION), context: 'test' }];
    const [processed] = (await load()).process(configs, { visibility: ['secret'] });
    assert.deepEqual(processed.data, toData({ clientSecret: SECRET }));
  });

  test('accepts a section without credentials, because credentials may be optional', async () => {
    const data = nest(KEY, { clientId: '', clientSecret: '' });
    (await load()).process([{ data, context: 'test' }]);
  });

  const faulty = [
    ['lacks the URL of its API', { resource: {} }, /required property 'baseUrl'/],
    ['has a word in place of a number', { requestTimeoutMs: 'soon' }, /must be integer/],
    ['has an unknown method', { clientAuthentication: 'x' }, /must be equal to one of/],
  ];
  for (const [what, change, pattern] of faulty) {
    test(`refuses a section that ${what}`, async () => {
      const data = nest(KEY, { ...SECTION, ...change });
      const loaded = await load();
      assert.throws(() => loaded.process([{ data, context: 'test' }]), pattern);
    });
  }
});

for (const release of ['newest', 'oldest']) {
  describe(`a backend of the ${release} release`, () => {
    const workspace = useWorkspace([path.join(__dirname, 'logging-backend')], { release });

    test('obtains tokens and hides the secret in its log, even after an edit', async (t) => {
      const endpoint = await startEndpoint(t, { clients: { 'test-client': SECRET } });
      const file = path.join(workspace.folder, 'app-config.yaml');
      await writeFile(file, configFile(endpoint.tokenEndpoint, SECRET));
      const environment = { TIMEOUT_MS: '2500' };
      const backend = await startBackend(workspace.folder, 'logging-backend', environment);
      t.after(() => backend.stop());
      const post = async (route) => {
        const response = await fetch(`${backend.url}/api/careless/${route}`, { method: 'POST' });
        return { status: response.status, body: await response.json() };
      };

      await post('log/before');
      await until(() => /before <\*\*\*>/.test(backend.output()), 'the redacted line appears');
      assert.equal((await post('token')).status, 200);

      endpoint.setSecret('test-client', ROTATED);
      const text = configFile(endpoint.tokenEndpoint, ROTATED);
      await writeFile(file, text, { flag: 'r+' });
      await until(() => backend.output().includes('uses the changed'), 'the edit is in use');
      assert.equal((await post('token')).status, 200);
      await post('log/after');
      await until(() => /after <\*\*\*>/.test(backend.output()), 'the redacted line appears');

      endpoint.setSecret('test-client', 'yet-another');
      const refused = await post('token');
      assert.equal(refused.body.code, 'ERR_KEYCLOAK_OAUTH');
      const shown = backend.output() + JSON.stringify(refused);
      assert.doesNotMatch(shown, new RegExp(`${SECRET}|${ROTATED}`));
    });
  });
}
