'use strict';

// Faked timers and dates do not affect the native side, which has its own clocks.

const { KeycloakTokenManager } = require('../..');
const { startFakeTokenEndpoint } = require('../../lib/testing');

const client = { clientId: 'test-client', clientSecret: 'test-secret' };
const HOUR_MS = 3_600_000;
const realNow = Date.now;
let endpoint;
let manager;

beforeAll(async () => {
  endpoint = await startFakeTokenEndpoint();
});

afterAll(() => endpoint.close());

beforeEach(() => {
  endpoint.clearRequests();
  manager = new KeycloakTokenManager({ ...client, tokenEndpoint: endpoint.tokenEndpoint });
});

afterEach(async () => {
  jest.useRealTimers();
  endpoint.restore();
  await manager.close();
});

test.each([['modern'], ['legacy']])('%s fake timers do not delay a token', async (kind) => {
  jest.useFakeTimers(kind === 'legacy' ? { legacyFakeTimers: true } : {});
  const token = await manager.getToken();
  jest.runAllTimers();
  expect(await manager.getToken()).toBe(token);
  expect(jest.getTimerCount()).toBe(0);
  expect(endpoint.requestCount).toBe(1);
});

test('a faked date does not change the age or the times of a token', async () => {
  jest.useFakeTimers({ now: 0 });
  const { token, issuedAt } = await manager.getAccessToken();
  expect(Date.now()).toBeLessThan(HOUR_MS);
  expect(Math.abs(issuedAt - realNow())).toBeLessThan(HOUR_MS);
  jest.setSystemTime(realNow() + 24 * HOUR_MS);
  expect(await manager.getToken()).toBe(token);
  expect(manager.snapshot().state).toBe('fresh');
});

test('a deadline works without timers', async () => {
  jest.useFakeTimers();
  endpoint.setAnswer({ fault: 'hang' });
  const { tokenEndpoint } = endpoint;
  const hasty = new KeycloakTokenManager({ ...client, tokenEndpoint, requestTimeoutMs: 50 });
  await expect(hasty.getToken()).rejects.toMatchObject({ code: 'ERR_KEYCLOAK_TIMEOUT' });
  await hasty.close();
});

test('a retry works without timers', async () => {
  jest.useFakeTimers();
  endpoint.answerNext({ status: 503 }, { status: 503 });
  await expect(manager.getToken()).resolves.toEqual(expect.any(String));
  expect(endpoint.requestCount).toBe(3);
});
