'use strict';

// The sources of the secret.

const assert = require('node:assert/strict');
const { mkdtemp, rm, writeFile } = require('node:fs/promises');
const { tmpdir } = require('node:os');
const path = require('node:path');
const { describe, test } = require('node:test');
const { inspect } = require('node:util');
const reconfigure = require('../lib/reconfigure.js');
const { delay, rejection, start, times, until } = require('./support/manager.js');

const SECRET = 'test-secret';
const forced = { forceRefresh: true };

/** A secret function that gives one value after the other, and counts. */
function giving(...values) {
  const clientSecret = async () => {
    clientSecret.calls += 1;
    return values.length > 1 ? values.shift() : values[0];
  };
  clientSecret.calls = 0;
  return clientSecret;
}

async function folderFor(t) {
  const folder = await mkdtemp(path.join(tmpdir(), 'secrets-'));
  t.after(() => rm(folder, { recursive: true }));
  return folder;
}

/** A manager whose secret is in a file, which holds `content` unless that is `undefined`. */
async function startWithFile(t, content) {
  const clientSecretFile = path.join(await folderFor(t), 'secret');
  if (content !== undefined) await writeFile(clientSecretFile, content);
  const parts = await start(t, { clientSecret: undefined, clientSecretFile });
  return { ...parts, clientSecretFile };
}

describe('a secret function', { concurrency: true }, () => {
  const cause = new RangeError('the vault is sealed');
  for (const [name, clientSecret, text, expected] of [
    [
      'that throws',
      () => {
        throw cause;
      },
      /see cause/,
      cause,
    ],
    ['that rejects', () => Promise.reject(cause), /see cause/, cause],
    ['that rejects with undefined', () => Promise.reject(), /see cause/, undefined],
    ['that gives an empty string', () => '', /returned an empty string/],
    ['that gives a number', async () => 5, /returned number/],
    ['that gives undefined', () => {}, /returned undefined/],
    ['that gives null', async () => null, /returned null/],
    ['that gives an object', () => ({ secret: SECRET }), /returned object/],
  ]) {
    test(`${name} fails with ERR_KEYCLOAK_CREDENTIAL, and nothing is sent`, async (t) => {
      const { endpoint, manager } = await start(t, { clientSecret });
      const error = await rejection(manager.getToken(), 'ERR_KEYCLOAK_CREDENTIAL');
      assert.match(error.message, text);
      assert.equal(error.cause, expected);
      assert.equal(error.retryable, false);
      assert.equal(error.attempts, 0);
      assert.ok(!inspect(error).includes(SECRET));
      assert.equal(endpoint.connectionCount, 0);
      assert.match((await rejection(manager.getToken(), 'ERR_KEYCLOAK_CREDENTIAL')).message, text);
    });
  }

  test('whose exception is not the cause of an error after a configuration change', async (t) => {
    const { endpoint, manager } = await start(t, { clientSecret: () => Promise.reject(cause) });
    await rejection(manager.getToken(), 'ERR_KEYCLOAK_CREDENTIAL');
    const { tokenEndpoint } = endpoint;
    manager[reconfigure]({ tokenEndpoint, clientId: 'test-client', clientSecretFile: '/none' });
    const error = await rejection(manager.getToken(), 'ERR_KEYCLOAK_CREDENTIAL');
    assert.match(error.message, /clientSecretFile/);
    assert.equal(error.cause, undefined);
  });

  test('that never settles ends with the deadline, and is called anew the next time', async (t) => {
    let calls = 0;
    let settleFirst;
    const clientSecret = () => {
      calls += 1;
      if (calls > 1) return SECRET;
      return new Promise((_, reject) => {
        settleFirst = () => reject(new Error('late'));
      });
    };
    const { endpoint, manager } = await start(t, { clientSecret, requestTimeoutMs: 300 });
    const begin = performance.now();
    const error = await rejection(manager.getToken(), 'ERR_KEYCLOAK_CREDENTIAL');
    assert.ok(performance.now() - begin < 450);
    assert.match(error.message, /300 ms \(requestTimeoutMs\)/);
    assert.equal(endpoint.connectionCount, 0);
    settleFirst();
    await delay(error.retryAfterMs + 20);
    await manager.getToken();
    assert.equal(calls, 2);
  });

  test('that fails late does not affect a later call', async (t) => {
    const calls = [];
    const clientSecret = () =>
      new Promise((_, reject) => {
        calls.push(reject);
      });
    const { manager } = await start(t, { clientSecret, requestTimeoutMs: 200 });
    const first = await rejection(manager.getToken(), 'ERR_KEYCLOAK_CREDENTIAL');
    await delay(first.retryAfterMs + 20);
    const call = manager.getToken();
    await until(() => calls.length === 2, 'the function is called again');
    calls[0](new Error('late'));
    assert.equal((await rejection(call, 'ERR_KEYCLOAK_CREDENTIAL')).cause, undefined);
  });

  test('that throws in its second call leaves the refusal as the error, without a cause', async (t) => {
    let calls = 0;
    const clientSecret = () => {
      calls += 1;
      if (calls === 1) return 'old';
      throw new Error('the vault is sealed');
    };
    const { endpoint, manager } = await start(t, { clientSecret });
    const error = await rejection(manager.getToken(), 'ERR_KEYCLOAK_OAUTH');
    assert.equal(calls, 2);
    assert.equal(error.cause, undefined);
    assert.equal(endpoint.requestCount, 1);
  });

  test('is called once per acquisition, and not before', async (t) => {
    const clientSecret = giving(SECRET);
    const { endpoint, manager } = await start(t, { clientSecret });
    assert.equal(clientSecret.calls, 0);
    await Promise.all(times(50, () => manager.getToken()));
    assert.equal(clientSecret.calls, 1);
    endpoint.answerNext({ status: 503 });
    await manager.getToken(forced);
    assert.equal(clientSecret.calls, 2);
    assert.equal(endpoint.requestCount, 3);
  });

  test('is called once more after a refusal, for one more attempt with a changed secret', async (t) => {
    const clientSecret = giving('old', SECRET);
    const { endpoint, manager, open } = await start(t, { clientSecret });
    await manager.getToken();
    assert.deepEqual([clientSecret.calls, endpoint.requestCount], [2, 2]);
    const unchanged = giving('old');
    await rejection(open({ clientSecret: unchanged }).getToken(), 'ERR_KEYCLOAK_OAUTH');
    assert.deepEqual([unchanged.calls, endpoint.requestCount], [2, 3]);
    endpoint.answerNext({ status: 400, body: { error: 'invalid_scope' } });
    await rejection(manager.getToken(forced), 'ERR_KEYCLOAK_OAUTH');
    assert.deepEqual([clientSecret.calls, endpoint.requestCount], [3, 4]);
  });
});

describe('a secret file', { concurrency: true }, () => {
  for (const [name, content] of [
    ['no line break', SECRET],
    ['a line break of Windows', `${SECRET}\r\n`],
  ]) {
    test(`with ${name} at its end is read`, async (t) => {
      const { manager } = await startWithFile(t, content);
      assert.match(await manager.getToken(), /^ey/);
    });
  }

  for (const [name, content, text] of [
    ['that is missing', undefined, /cannot be read/],
    ['that holds a line break alone', '\n', /is empty/],
    ['that is not UTF-8', Buffer.from([0xff, 0xfe]), /is not UTF-8/],
    ['without end', 'x'.repeat(1_000_000), /too large/],
  ]) {
    test(`${name} fails with ERR_KEYCLOAK_CREDENTIAL and its name`, async (t) => {
      const { endpoint, manager, clientSecretFile } = await startWithFile(t, content);
      const error = await rejection(manager.getToken(), 'ERR_KEYCLOAK_CREDENTIAL');
      assert.match(error.message, text);
      assert.ok(error.message.includes(clientSecretFile), error.message);
      assert.equal(endpoint.connectionCount, 0);
    });
  }
});
