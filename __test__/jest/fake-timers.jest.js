'use strict';

// Faked timers and dates do not affect the native side, which has its own clocks.

const keycloak = require('../..');
const { useEndpoint } = require('./endpoint.js');

const HOUR_MS = 3_600_000;
const realNow = Date.now;
const parts = useEndpoint();
let manager;

beforeEach(() => {
  parts.endpoint.clearRequests();
  manager = parts.open(keycloak);
});

afterEach(async () => {
  jest.useRealTimers();
  await manager.close();
});

test.each([[{}], [{ legacyFakeTimers: true }]])(
  'a token, a retry and a deadline need no JavaScript timer (faked with %p)',
  async (options) => {
    jest.useFakeTimers(options);
    parts.endpoint.answerNext({ status: 503 }, { status: 503 });
    const token = await manager.getToken();
    jest.runAllTimers();
    expect(await manager.getToken()).toBe(token);
    expect(jest.getTimerCount()).toBe(0);
    expect(parts.endpoint.requestCount).toBe(3);
    parts.endpoint.setAnswer({ fault: 'hang' });
    const hasty = parts.open(keycloak, { requestTimeoutMs: 50 });
    await expect(hasty.getToken()).rejects.toMatchObject({ code: 'ERR_KEYCLOAK_TIMEOUT' });
    await hasty.close();
  },
);

test('a faked date does not change the age or the times of a token', async () => {
  jest.useFakeTimers({ now: 0 });
  const { token, issuedAt } = await manager.getAccessToken();
  expect(Date.now()).toBeLessThan(HOUR_MS);
  expect(Math.abs(issuedAt - realNow())).toBeLessThan(HOUR_MS);
  jest.setSystemTime(realNow() + 24 * HOUR_MS);
  expect(await manager.getToken()).toBe(token);
  expect(manager.snapshot().state).toBe('fresh');
});
