'use strict';

/** The oldest Backstage release that is supported: a real backend with the package's service. */

const assert = require('node:assert/strict');
const { writeFile } = require('node:fs/promises');
const path = require('node:path');
const { describe, test } = require('node:test');
const { startBackend } = require('../../examples/backstage-plugin/backend-process.js');
const { startEndpoint } = require('../support/manager.js');
const { CLIENT, configFile, useWorkspace } = require('./support.js');

describe('the oldest release', () => {
  const members = [path.join(__dirname, 'logging-backend')];
  const workspace = useWorkspace(members, { release: 'oldest' });

  test('runs a plugin that gets a token', async (t) => {
    const endpoint = await startEndpoint(t);
    const file = path.join(workspace.folder, 'app-config.yaml');
    await writeFile(file, configFile(endpoint.tokenEndpoint, CLIENT.clientSecret));
    const backend = await startBackend(workspace.folder, 'logging-backend', { TIMEOUT_MS: '2500' });
    t.after(() => backend.stop());
    const response = await fetch(`${backend.url}/api/careless/token`, { method: 'POST' });
    assert.equal(response.status, 200, backend.output());
    assert.equal(endpoint.requests.length, 1);
    assert.doesNotMatch(backend.output(), /test-secret/);
  });
});
