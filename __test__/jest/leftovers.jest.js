'use strict';

// Managers that a suite does not close do not keep Jest alive or disturb the next file.

const { KeycloakTokenManager } = require('../..');
const { startFakeTokenEndpoint } = require('../../lib/testing');

const client = { clientId: 'test-client', clientSecret: 'test-secret' };
let endpoint;

beforeAll(async () => {
  endpoint = await startFakeTokenEndpoint({ expiresIn: 1 });
});

afterAll(() => endpoint.close());

const open = () => new KeycloakTokenManager({ ...client, tokenEndpoint: endpoint.tokenEndpoint });

test('managers in use that are never closed', async () => {
  const managers = Array.from({ length: 20 }, open);
  for (const manager of managers) {
    await manager.getToken();
    await expect(manager.getToken()).resolves.toEqual(expect.any(String));
  }
  // Refreshes of some are in progress, and will fail when the endpoint is closed.
  await endpoint.waitForRequests(25);
});

test('an abandoned flight', async () => {
  endpoint.pause();
  const controller = new AbortController();
  const call = open().getToken({ signal: controller.signal });
  await endpoint.waitForRequests(26);
  controller.abort(new Error('left'));
  await expect(call).rejects.toThrow('left');
});

test('an unused manager', () => {
  expect(open().snapshot().state).toBe('empty');
});
