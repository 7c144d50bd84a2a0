'use strict';

// Jest loads the modules repeatedly into one process, which has one native side.

const path = require('node:path');
const { useEndpoint } = require('./endpoint.js');

const packagePath = path.join(__dirname, '..', '..');
const parts = useEndpoint();
const { open } = parts;

afterEach(() => jest.resetModules());

const load = () => require(packagePath);

function loadIsolated() {
  let isolated;
  jest.isolateModules(() => {
    isolated = load();
  });
  return isolated;
}

test('copies of the package work side by side', async () => {
  const copies = [load()];
  for (let round = 0; round < 10; round += 1) {
    jest.resetModules();
    copies.push(load());
  }
  copies.push(loadIsolated(), loadIsolated());
  expect(new Set(copies.map(({ KeycloakTokenManager }) => KeycloakTokenManager)).size).toBe(13);
  const managers = copies.map((copy) => open(copy));
  const tokens = await Promise.all(managers.map((manager) => manager.getToken()));
  expect(new Set(tokens).size).toBe(13);
  for (const [index, manager] of managers.entries()) {
    // The managers of earlier copies are closed by now.
    expect(await manager.getToken()).toBe(tokens[index]);
    await manager.close();
  }
});

test('every copy recognises the errors of the other copies', async () => {
  parts.endpoint.setSecret('test-client', 'another');
  const copies = [load(), loadIsolated()];
  for (const copy of copies) {
    const manager = open(copy);
    const error = await manager.getToken().catch((reason) => reason);
    const classes = copies.map(({ KeycloakTokenError }) => error instanceof KeycloakTokenError);
    expect(classes).toEqual([true, true]);
    expect(error).toBeInstanceOf(Error);
    await manager.close();
  }
});

test('a flight ends even if Jest resets the modules in between', async () => {
  parts.endpoint.pause();
  const before = open(load());
  const call = before.getToken();
  jest.resetModules();
  const after = open(load());
  const other = after.getToken();
  parts.endpoint.resume();
  expect(await call).not.toBe(await other);
  expect(before.snapshot().state).toBe('fresh');
  before.clearCache();
  await expect(before.getToken()).resolves.toEqual(expect.any(String));
  await Promise.all([before.close(), after.close()]);
});
