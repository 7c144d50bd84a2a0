'use strict';

// Managers that a suite does not close do not keep Jest alive or disturb the next file.

const keycloak = require('../..');
const { useEndpoint } = require('./endpoint.js');

const parts = useEndpoint({ expiresIn: 1 });
const open = () => parts.open(keycloak);

test('managers that stay open do not keep Jest alive while they refresh', async () => {
  const managers = Array.from({ length: 20 }, open);
  for (const manager of managers) {
    await manager.getToken();
    await expect(manager.getToken()).resolves.toEqual(expect.any(String));
  }
  // The refreshes of some managers are in progress, and fail when the endpoint closes.
  await parts.endpoint.waitForRequests(25);
});

test('a flight that its caller has left does not keep Jest alive', async () => {
  parts.endpoint.pause();
  const controller = new AbortController();
  const call = open().getToken({ signal: controller.signal });
  await parts.endpoint.waitForRequests(26);
  controller.abort(new Error('left'));
  await expect(call).rejects.toThrow('left');
});

test('an unused manager does not keep Jest alive', () => {
  expect(open().snapshot().state).toBe('empty');
});
