'use strict';

// Jest runs tests in its own realm: objects of other realms are not instances of its classes.

const keycloak = require('../..');
const { useEndpoint } = require('./endpoint.js');

const { KeycloakTokenError } = keycloak;
const parts = useEndpoint();
let manager;

beforeEach(() => {
  manager = parts.open(keycloak);
});

afterEach(() => manager.close());

test('promises and results belong to this realm, on a miss and on a hit', async () => {
  expect(await manager.getAccessToken()).toBeInstanceOf(Object);
  const { signal } = new AbortController();
  for (const promise of [
    manager.getToken(),
    manager.getAccessToken(),
    manager.getToken({ signal }),
    manager.getTokenForStreaming(1000),
    manager.getToken({ forceRefresh: true }),
  ]) {
    expect(promise).toBeInstanceOf(Promise);
    await promise;
  }
  expect(manager.close()).toBeInstanceOf(Promise);
});

test('errors belong to this realm', async () => {
  const construct = () => parts.open(keycloak, { tokenEndpoint: 'nowhere' });
  expect(construct).toThrow(Error);
  expect(construct).toThrow(KeycloakTokenError);
  expect(construct).toThrow(expect.objectContaining({ code: 'ERR_KEYCLOAK_CONFIG' }));

  parts.endpoint.setSecret('test-client', 'another');
  const error = await manager.getToken().catch((reason) => reason);
  expect(error).toBeInstanceOf(Error);
  expect(error).toBeInstanceOf(KeycloakTokenError);
  expect(error).toMatchObject({ name: 'KeycloakTokenError', code: 'ERR_KEYCLOAK_OAUTH' });
  await expect(manager.getToken()).rejects.toThrow(/unauthorized_client/);
  await expect(manager.getToken({ minValiditySeconds: -1 })).rejects.toThrow(KeycloakTokenError);
  await manager.close();
  await expect(manager.getToken()).rejects.toMatchObject({ code: 'ERR_KEYCLOAK_CLOSED' });
});

test('signals and functions of this realm work', async () => {
  const logger = { error: jest.fn(), warn: jest.fn(), info: jest.fn(), debug: jest.fn() };
  const clientSecret = jest.fn(async () => 'test-secret');
  const other = parts.open(keycloak, { clientSecret, logger });
  await expect(other.getToken()).resolves.toEqual(expect.any(String));
  expect(clientSecret).toHaveBeenCalledTimes(1);
  expect(logger.debug).toHaveBeenCalledTimes(1);
  await other.close();

  parts.endpoint.pause();
  const controller = new AbortController();
  const call = manager.getToken({ signal: controller.signal });
  controller.abort(new Error('enough'));
  await expect(call).rejects.toThrow('enough');
  const timeout = manager.getToken({ signal: AbortSignal.timeout(1) });
  await expect(timeout).rejects.toMatchObject({ name: 'TimeoutError' });
});
