'use strict';

const assert = require('node:assert/strict');
const { spawnSync } = require('node:child_process');
const path = require('node:path');
const { describe, test } = require('node:test');
const { startFakeTokenEndpoint } = require('../lib/testing');
const { makeCertificates } = require('../tools/certificates.js');
const { startEndpoint: start } = require('./support/manager.js');
const { httpsPost, post, rawPost } = require('./support/token-requests.js');

describe('the faults of the fake token endpoint', { concurrency: true }, () => {
  for (const [fault, ended, expectedHead, expectedBody, status] of [
    ['reset', 'ECONNRESET', /^$/, ''],
    ['close', 'FIN', /^$/, ''],
    ['truncate', 'FIN', /^HTTP\/1\.1 200 OK\r\n[\s\S]*Content-Length: 10(\r\n|$)/, '01234', 200],
  ]) {
    test(`${fault} ends the connection with ${ended}, and the log has status ${status}`, async (t) => {
      const endpoint = await start(t);
      endpoint.setAnswer({ fault, body: '0123456789', dripMs: 5 });
      const { ended: found, head, body } = await rawPost(endpoint);
      assert.deepEqual([found, body], [ended, expectedBody]);
      assert.match(head, expectedHead);
      assert.equal(endpoint.requests[0].status, status);
    });
  }

  test('drip: the whole body arrives byte by byte', async (t) => {
    const endpoint = await start(t);
    endpoint.setAnswer({ fault: 'drip', dripMs: 10, body: '01234' });
    const begun = performance.now();
    assert.equal((await post(endpoint)).text, '01234');
    // Timers count in whole milliseconds.
    assert.ok(performance.now() - begun + 5 >= 50);
  });

  test('redirect: the log shows a client that follows the redirect', async (t) => {
    const endpoint = await start(t);
    endpoint.answerNext({ fault: 'redirect' }, { fault: 'redirect' });
    const { status, headers } = await post(endpoint);
    assert.equal(status, 307);
    assert.equal(headers.get('location'), endpoint.tokenEndpoint);
    assert.equal((await fetch(endpoint.tokenEndpoint, { method: 'POST' })).redirected, true);
    assert.equal(endpoint.requestCount, 3);
    endpoint.answerNext({ fault: 'redirect', status: 302, headers: { location: '/x' } });
    const given = await post(endpoint);
    assert.deepEqual([given.status, given.headers.get('location')], [302, '/x']);
  });
});

describe('closing the fake token endpoint', { concurrency: true }, () => {
  test('is final, and close() can be repeated', async () => {
    const endpoint = await startFakeTokenEndpoint();
    endpoint.setAnswer({ fault: 'hang' });
    const hung = assert.rejects(post(endpoint), TypeError);
    await endpoint.waitForRequests(1);
    await Promise.all([endpoint.close(), endpoint.close(), endpoint[Symbol.asyncDispose]()]);
    await hung;
    assert.equal(await post(endpoint).catch((error) => error.cause.code), 'ECONNREFUSED');
    await assert.rejects(endpoint.goOnline(), /closed/);
  });

  test('drops the pending answers', async () => {
    for (const hold of ['pause', 'setDelay']) {
      const endpoint = await startFakeTokenEndpoint();
      endpoint[hold](60_000);
      const broken = assert.rejects(post(endpoint), TypeError);
      await endpoint.waitForRequests(1);
      await endpoint.close();
      await broken;
      assert.equal(endpoint.requests[0].status, undefined, hold);
    }
  });

  test('leaves no handle that keeps the process alive', () => {
    const folder = path.join(__dirname, '../lib/testing');
    const script = `
      const net = require('node:net');
      const { startFakeTokenEndpoint } = require(${JSON.stringify(folder)});
      (async () => {
        const endpoint = await startFakeTokenEndpoint({ delayMs: 60_000 });
        const { tokenEndpoint } = endpoint;
        const drip = { fault: 'drip', delayMs: 0, dripMs: 60_000 };
        for (const answer of [{}, { fault: 'hang' }, drip]) {
          endpoint.answerNext(answer);
          fetch(tokenEndpoint, { method: 'POST' }).then((r) => r.text()).catch(() => {});
        }
        net.connect(new URL(tokenEndpoint).port, '127.0.0.1').on('error', () => {});
        await endpoint.waitForRequests(3);
        await endpoint.close();
        console.log('closed');
      })();`;
    const { status, stdout, stderr } = spawnSync(process.execPath, ['-e', script], {
      encoding: 'utf8',
      timeout: 20_000,
    });
    assert.equal(stderr, '');
    assert.deepEqual([status, stdout], [0, 'closed\n']);
  });

  test('does not count a request that is too long as a failure of the test', async (t) => {
    const endpoint = await start(t);
    await assert.rejects(post(endpoint, 'x'.repeat(2_000_000)), TypeError);
    assert.equal(endpoint.requestCount, 0);
  });
});

test('over TLS the fake token endpoint has its certificate and its faults', async (t) => {
  const certificates = makeCertificates();
  const attempt = ({ tokenEndpoint }) => httpsPost(tokenEndpoint, certificates.ca.cert);
  const wrongName = await start(t, { tls: certificates.wrongName });
  assert.equal(await attempt(wrongName), 'ERR_TLS_CERT_ALTNAME_INVALID');
  const endpoint = await start(t, { tls: certificates.server });
  assert.match(endpoint.tokenEndpoint, /^https:/);
  endpoint.answerNext({ fault: 'reset' }, { fault: 'close' }, { fault: 'truncate' });
  endpoint.answerNext({ fault: 'hang' });
  for (const _ of [1, 2, 3]) assert.equal(await attempt(endpoint), 'ECONNRESET');
  const hung = attempt(endpoint);
  await endpoint.waitForRequests(4);
  const before = endpoint.tokenEndpoint;
  await endpoint.goOffline();
  await endpoint.goOffline();
  assert.equal(await hung, 'ECONNRESET');
  assert.equal(await attempt(endpoint), 'ECONNREFUSED');
  await endpoint.goOnline();
  await endpoint.goOnline();
  assert.equal(endpoint.tokenEndpoint, before);
  assert.equal(await attempt(endpoint), 200);
  assert.equal(endpoint.connectionCount, 5);
  const statuses = endpoint.requests.map(({ status }) => status);
  assert.deepEqual(statuses, [undefined, undefined, 200, undefined, 200]);
});
