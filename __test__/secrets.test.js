'use strict';

// The sources of the secret.

const assert = require('node:assert/strict');
const { describe, test } = require('node:test');
const { inspect } = require('node:util');
const { gzipSync } = require('node:zlib');
const reconfigure = require('../lib/reconfigure.js');
const { makeFile } = require('./support/files.js');
const { delay, rejection, start, times } = require('./support/manager.js');

const SECRET = 'test-secret';
const forced = { forceRefresh: true };

describe('a secret function', { concurrency: true }, () => {
  const cause = new RangeError('the vault is sealed');
  const throwing = () => {
    throw cause;
  };
  for (const [name, clientSecret, text, expected] of [
    ['that throws', throwing, /see cause/, cause],
    ['that rejects', () => Promise.reject(cause), /see cause/, cause],
    ['that rejects with undefined', () => Promise.reject(), /see cause/, undefined],
    ['that gives an empty string', () => '', /returned an empty string/],
    ['that gives a number', async () => 5, /returned number/],
    ['that gives undefined', () => {}, /returned undefined/],
    ['that gives null', async () => null, /returned null/],
    ['that gives an object', () => ({ secret: SECRET }), /returned object/],
  ]) {
    test(`${name} causes ERR_KEYCLOAK_CREDENTIAL and no request`, async (t) => {
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

  test('that rejects is not the cause of an error after a change to a secret file', async (t) => {
    const { endpoint, manager } = await start(t, { clientSecret: () => Promise.reject(cause) });
    await rejection(manager.getToken(), 'ERR_KEYCLOAK_CREDENTIAL');
    const { tokenEndpoint } = endpoint;
    manager[reconfigure]({ tokenEndpoint, clientId: 'test-client', clientSecretFile: '/none' });
    const error = await rejection(manager.getToken(), 'ERR_KEYCLOAK_CREDENTIAL');
    assert.match(error.message, /clientSecretFile/);
    assert.equal(error.cause, undefined);
  });

  test('that never settles ends at the deadline and does not affect a later call', async (t) => {
    const rejects = [];
    const clientSecret = () => new Promise((_, reject) => rejects.push(reject));
    const { endpoint, manager } = await start(t, { clientSecret, requestTimeoutMs: 300 });
    for (const count of [1, 2]) {
      const begin = performance.now();
      const call = manager.getToken();
      rejects[0]?.(new Error('late'));
      const error = await rejection(call, 'ERR_KEYCLOAK_CREDENTIAL');
      assert.ok(performance.now() - begin < 450);
      assert.match(
        error.message,
        /^the clientSecret function did not return a secret within 300 ms; limit .+ requestTimeoutMs$/,
      );
      assert.equal(error.cause, undefined);
      assert.equal(rejects.length, count);
      await delay(error.retryAfterMs + 20);
    }
    assert.equal(endpoint.connectionCount, 0);
  });

  test('that throws in its second call leaves the refusal as the error, without a cause', async (t) => {
    const values = ['old'];
    const clientSecret = () => values.pop() ?? assert.fail('the vault is sealed');
    const { manager } = await start(t, { clientSecret });
    const error = await rejection(manager.getToken(), 'ERR_KEYCLOAK_OAUTH');
    assert.equal(error.cause, undefined);
  });

  test('runs again after a refusal that a gateway compressed', async (t) => {
    const values = [SECRET, 'old'];
    const { endpoint, manager } = await start(t, { clientSecret: () => values.pop() });
    const body = gzipSync('{"error":"unauthorized_client"}');
    endpoint.answerNext({ status: 401, headers: { 'Content-Encoding': 'gzip' }, body });
    assert.equal(typeof (await manager.getToken()), 'string');
    assert.equal(endpoint.requestCount, 2);
  });

  test('runs once per acquisition, and not before', async (t) => {
    let calls = 0;
    const clientSecret = async () => {
      calls += 1;
      return SECRET;
    };
    const { endpoint, manager } = await start(t, { clientSecret });
    assert.equal(calls, 0);
    await Promise.all(times(50, () => manager.getToken()));
    assert.equal(calls, 1);
    endpoint.answerNext({ status: 503 });
    await manager.getToken(forced);
    assert.equal(calls, 2);
    assert.equal(endpoint.requestCount, 3);
  });
});

// The tests of other file contents (empty, not UTF-8, trailing newlines) are in
// `crates/manager/src/credential/mod.rs`.
describe('a secret file', () => {
  test('that is unusable causes ERR_KEYCLOAK_CREDENTIAL, and the error names the file', async (t) => {
    const clientSecretFile = makeFile(t, 'x'.repeat(1_000_000));
    const { endpoint, manager } = await start(t, { clientSecret: undefined, clientSecretFile });
    const error = await rejection(manager.getToken(), 'ERR_KEYCLOAK_CREDENTIAL');
    assert.match(error.message, /too large/);
    assert.ok(error.message.includes(clientSecretFile), error.message);
    assert.equal(endpoint.connectionCount, 0);
  });
});
