'use strict';

// The doctor in the folder of a Backstage application, whose own loader reads the configuration.

const assert = require('node:assert/strict');
const fs = require('node:fs');
const path = require('node:path');
const { describe, test } = require('node:test');
const { useWorkspace } = require('../backstage/support.js');
const { startEndpoint } = require('../support/manager.js');
const { SECRET, runDoctor, troubles } = require('./support.js');

const ref = (name) => `\${${name}}`;

describe('the doctor with Backstage', { timeout: 120_000 }, () => {
  const workspace = useWorkspace();

  const configure = (tokenEndpoint) => {
    const client = { clientId: 'test-client', clientSecret: { $file: 'secret.txt' } };
    const auth = { tokenEndpoint, ...client, telemetry: true };
    const content = { keycloak: { clients: { api: { ...auth, scope: [ref('SCOPE')] } } } };
    const { folder } = workspace;
    fs.writeFileSync(path.join(folder, 'secret.txt'), SECRET);
    fs.writeFileSync(path.join(folder, 'app-config.yaml'), JSON.stringify(content));
    return { flags: { config: 'app-config.yaml', key: 'keycloak.clients.api' }, cwd: folder };
  };

  test("reads the configuration with Backstage's loader, which also includes files", async (t) => {
    const { tokenEndpoint } = await startEndpoint(t);
    const { flags, cwd } = configure(tokenEndpoint);
    const result = await runDoctor(flags, { env: { SCOPE: 'email' }, cwd });
    assert.equal(result.status, 0, JSON.stringify(result));
    const { text } = result.findings.find(({ step }) => step === 'options');
    assert.match(text, /scope from app-config\.yaml, section keycloak\.clients\.api$/);
  });

  test('names a missing variable in the configuration in a finding', async (t) => {
    const { tokenEndpoint } = await startEndpoint(t);
    const { flags, cwd } = configure(`${tokenEndpoint}${ref('SUFFIX')}`);
    const result = await runDoctor(flags, { env: { SCOPE: 'email' }, cwd });
    assert.equal(result.status, 1, JSON.stringify(result));
    const [{ step, text, advice }] = troubles(result);
    assert.equal(step, 'options');
    assert.match(text, /clients\.api\.tokenEndpoint needs the environment variable SUFFIX/);
    assert.match(advice, /set SUFFIX/);
  });
});
