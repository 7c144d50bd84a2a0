'use strict';

const assert = require('node:assert/strict');
const { describe, test } = require('node:test');
const { startFakeTokenEndpoint } = require('../lib/testing');
const { startEndpoint: start } = require('./support/manager.js');
const { CLIENT, GRANT, basic, grant, post, rawPost } = require('./support/token-requests.js');

describe('the log of the fake token endpoint', { concurrency: true }, () => {
  test('has every part of a request except its credentials', async (t) => {
    const endpoint = await start(t);
    const before = Date.now();
    const assertion = { client_assertion: 'secret-assertion', client_assertion_type: 'urn:x' };
    const fields = { ...GRANT, ...CLIENT, ...assertion, scope: 'a', audience: 'b' };
    await post(endpoint, fields, { ...basic('test-client:test-secret'), 'x-extra': 'c' });
    const [{ at, headers, ...entry }] = endpoint.requests;
    assert.ok(at >= before && at <= Date.now());
    assert.equal(headers['x-extra'], 'c');
    assert.equal('authorization' in headers, false);
    assert.deepEqual(entry, {
      clientId: 'test-client',
      authentication: 'client_secret_post',
      grantType: 'client_credentials',
      scope: 'a',
      parameters: {
        grant_type: 'client_credentials',
        client_id: 'test-client',
        client_assertion_type: 'urn:x',
        scope: 'a',
        audience: 'b',
      },
      dpop: undefined,
      connection: 1,
      status: 200,
    });
    assert.doesNotMatch(JSON.stringify(endpoint.requests), /test-secret|secret-assertion/);
  });

  test('has the authentication method', async (t) => {
    const endpoint = await start(t);
    await post(endpoint, GRANT);
    await post(endpoint, { ...GRANT, client_id: 'a', client_assertion: 'x' });
    await post(endpoint, GRANT, basic('a:b'));
    const seen = endpoint.requests.map(
      (request) => `${request.authentication} ${request.clientId}`,
    );
    assert.deepEqual(seen, ['none undefined', 'client_assertion a', 'client_secret_basic a']);
  });

  test('numbers the connections', async (t) => {
    const endpoint = await start(t);
    await rawPost({ tokenEndpoint: endpoint.jwksUri });
    endpoint.answerNext({ fault: 'close' }, { fault: 'close' });
    await rawPost(endpoint);
    await rawPost(endpoint);
    const [{ connection: first }, { connection: second }] = endpoint.requests;
    assert.deepEqual([first, second, endpoint.connectionCount], [2, 3, 3]);
  });

  test('can be waited for, emptied, and waited for again', async (t) => {
    const endpoint = await start(t);
    const two = endpoint.waitForRequests(2);
    await grant(endpoint);
    await grant(endpoint);
    assert.deepEqual(await two, endpoint.requests);
    assert.equal((await endpoint.waitForRequests(1)).length, 1);
    endpoint.clearRequests();
    assert.equal(endpoint.requestCount, 0);
    const one = endpoint.waitForRequests(1);
    await grant(endpoint, { ...GRANT, ...CLIENT, scope: 'later' });
    assert.equal((await one)[0].scope, 'later');
    await assert.rejects(endpoint.waitForRequests(0), TypeError);
    const never = endpoint.waitForRequests(2);
    await endpoint.close();
    await assert.rejects(never, /closed after 1 of 2 expected token requests/);
    await assert.rejects(endpoint.waitForRequests(2), /closed/);
  });
});

describe('the scripts of the fake token endpoint', { concurrency: true }, () => {
  test('apply first to the next requests, then to all further requests', async (t) => {
    const endpoint = await start(t);
    endpoint.setAnswer({ status: 503, headers: { 'Retry-After': '1' }, body: 'busy' });
    endpoint.answerNext({ body: { a: 1 } }, { status: 204 }, { body: Buffer.of(0xff) });
    endpoint.answerNext({});

    const object = await post(endpoint);
    assert.deepEqual([object.status, object.text], [200, '{"a":1}']);
    assert.equal(object.headers.get('content-type'), 'application/json');
    const empty = await post(endpoint);
    assert.deepEqual([empty.status, empty.text], [204, '']);
    const bytes = await post(endpoint);
    assert.deepEqual([bytes.status, bytes.text], [200, '\ufffd']);
    assert.equal(bytes.headers.get('content-type'), null);
    await grant(endpoint);
    for (let i = 0; i < 2; i += 1) {
      const busy = await post(endpoint);
      assert.deepEqual([busy.status, busy.text], [503, 'busy']);
      assert.equal(busy.headers.get('retry-after'), '1');
    }
    endpoint.restore();
    await grant(endpoint);
    const statuses = endpoint.requests.map(({ status }) => status);
    assert.deepEqual(statuses, [200, 204, 200, 200, 503, 503, 200]);
  });

  test("change Keycloak's own answer if they have neither status nor body", async (t) => {
    const endpoint = await start(t);
    endpoint.setAnswer({ expiresIn: 7, headers: { 'cache-control': 'public', 'x-a': 'b' } });
    const granted = await post(endpoint);
    assert.equal(JSON.parse(granted.text).expires_in, 7);
    assert.equal(granted.headers.get('cache-control'), 'public');
    assert.equal(granted.headers.get('x-a'), 'b');
    assert.equal((await post(endpoint, GRANT)).status, 401);
  });

  test('may be synchronous or asynchronous functions of the request', async (t) => {
    const endpoint = await start(t);
    endpoint.setAnswer(async ({ scope }) => (scope === 'a' ? { status: 418 } : undefined));
    assert.equal((await post(endpoint, { ...GRANT, ...CLIENT, scope: 'a' })).status, 418);
    assert.equal((await post(endpoint)).status, 200);
  });

  test('that fail cause a 500, and close() rejects with their error', async () => {
    const why = new Error('a slip of the test');
    const endpoint = await startFakeTokenEndpoint();
    endpoint.setAnswer(() => {
      throw why;
    });
    assert.equal((await post(endpoint)).status, 500);
    await assert.rejects(endpoint.close(), why);

    const other = await startFakeTokenEndpoint();
    other.setAnswer(() => ({ state: 503 }));
    assert.equal((await post(other)).status, 500);
    await assert.rejects(other.close(), /answer has no property state; its properties are status/);
  });

  test('end with restore(), as do changed secrets and lifetimes', async (t) => {
    const endpoint = await start(t);
    endpoint.setSecret('test-client', 'new');
    endpoint.setSecret('other', 'x');
    endpoint.setExpiresIn(0.5);
    assert.equal((await post(endpoint)).status, 401);
    const granted = await grant(endpoint, { ...GRANT, client_id: 'other', client_secret: 'x' });
    assert.equal(granted.expires_in, 0.5);
    endpoint.restore();
    assert.equal((await grant(endpoint)).expires_in, 300);
    assert.equal((await post(endpoint, { ...GRANT, client_id: 'other' })).status, 401);
  });

  test('delay single answers or all answers', async (t) => {
    const endpoint = await start(t, { delayMs: 40 });
    const timed = async () => {
      const begun = performance.now();
      await grant(endpoint);
      // Timers count in whole milliseconds.
      return performance.now() - begun + 1;
    };
    assert.ok((await timed()) >= 40);
    endpoint.answerNext({ delayMs: 80 });
    assert.ok((await timed()) >= 80);
    endpoint.setDelay(60);
    assert.ok((await timed()) >= 60);
  });
});

describe('the fake token endpoint refuses', { concurrency: true }, () => {
  for (const [given, message] of [
    [null, /^options must be an object$/],
    [{ clientId: 'a' }, /^options has no property clientId; its properties are realm, clients, /],
    [{ realm: '..' }, /^realm must be made of letters/],
    [{ clients: {} }, /^clients must be an object/],
    [{ clients: 'canary' }, /^clients must be an object(?!.*canary)/],
    [{ expiresIn: '60' }, /^expiresIn must be a finite number of seconds$/],
    [{ delayMs: 2 ** 31 }, /^delayMs must be a number of milliseconds from 0 to 2147483647$/],
    [{ roles: 'viewer' }, /^roles must be an array/],
    [{ tls: true }, /^tls must be an object/],
    [{ tls: { key: 'a', cert: 'b' } }, /^tls must hold a PEM key and a PEM cert/],
    [{ tokenSize: 1.5 }, /^tokenSize must be an integer from 0 to 10000000$/],
  ]) {
    test(`the options ${JSON.stringify(given)}`, async () => {
      await assert.rejects(startFakeTokenEndpoint(given), { name: 'TypeError', message });
    });
  }

  for (const [given, message] of [
    [undefined, /^answer must be an object$/],
    [{ state: 500 }, /^answer has no property state; its properties are status, headers, /],
    [{ status: 99 }, /^status must be an integer from 200 to 599$/],
    [{ headers: { a: 1 } }, /^headers must be an object of strings$/],
    [{ headers: { 'a b': 'c' } }, /Header name/],
    [{ body: 1 }, /^body must be an object, a string or a Buffer$/],
    [{ expiresIn: null }, /^expiresIn must be/],
    [{ fault: 'none' }, /^fault must be one of reset, close, hang, /],
    [{ fault: 'drip', dripMs: 0 }, /^dripMs must be/],
  ]) {
    test(`the answer ${JSON.stringify(given)}`, async (t) => {
      const endpoint = await start(t);
      const refused = { name: 'TypeError', message };
      assert.throws(() => endpoint.setAnswer(given), refused);
      assert.throws(() => endpoint.answerNext({}, given), refused);
    });
  }

  test('invalid arguments of its methods', async (t) => {
    const endpoint = await start(t);
    for (const [call, message] of [
      [() => endpoint.setDelay(-1), /^ms must be/],
      [() => endpoint.setExpiresIn(Number.POSITIVE_INFINITY), /^seconds must be/],
      [() => endpoint.setSecret('', 'a'), /^clientId must be/],
      [() => endpoint.setSecret('a'), /^secret must be/],
      [() => endpoint.issueToken('a'), /^claims must be/],
    ]) {
      assert.throws(call, { name: 'TypeError', message });
    }
  });
});
