'use strict';

const assert = require('node:assert/strict');
const { spawnSync } = require('node:child_process');
const https = require('node:https');
const path = require('node:path');
const { describe, test } = require('node:test');
const { startFakeTokenEndpoint } = require('../lib/testing');
const { makeCertificates } = require('./support/certificates.js');
const {
  sendBytes,
  startFakeTokenEndpointProcess,
  startRawServer,
} = require('./support/fault-server.js');
const { CLIENT, FORM, GRANT, grant, post, rawPost, start } = require('./support/token-requests.js');

describe('the fake token endpoint: its faults', { concurrency: true }, () => {
  const faults = [
    ['reset', { ended: 'ECONNRESET', head: '', body: '' }, undefined],
    ['close', { ended: 'FIN', head: '', body: '' }, undefined],
  ];
  for (const [fault, expected, status] of faults) {
    test(`${fault}: the connection ends before a byte was sent`, async (t) => {
      const endpoint = await start(t);
      endpoint.setAnswer({ fault });
      assert.deepEqual(await rawPost(endpoint), expected);
      assert.equal(endpoint.requests[0].status, status);
    });
  }

  test('truncate: half of the body comes, and the connection is closed', async (t) => {
    const endpoint = await start(t);
    endpoint.setAnswer({ fault: 'truncate', body: '0123456789' });
    const { ended, head, body } = await rawPost(endpoint);
    assert.equal(ended, 'FIN');
    assert.match(head, /^HTTP\/1\.1 200 OK\r\n/);
    assert.match(head, /\r\nContent-Length: 10(\r\n|$)/);
    assert.equal(body, '01234');
    assert.equal(endpoint.requests[0].status, 200);
    endpoint.setAnswer({ fault: 'truncate' });
    await assert.rejects(post(endpoint), TypeError);
  });

  test('drip: the whole body comes, a byte at a time', async (t) => {
    const endpoint = await start(t);
    endpoint.setAnswer({ fault: 'drip', dripMs: 10, body: '01234' });
    const begun = performance.now();
    assert.equal((await post(endpoint)).text, '01234');
    // Timers count in whole milliseconds.
    assert.ok(performance.now() - begun + 5 >= 50);
  });

  test('hang: nothing comes until the client gives up', async (t) => {
    const endpoint = await start(t);
    endpoint.setAnswer({ fault: 'hang' });
    const leave = new AbortController();
    const hung = fetch(endpoint.tokenEndpoint, { method: 'POST', signal: leave.signal });
    await endpoint.waitForRequests(1);
    await (await fetch(endpoint.jwksUri)).text();
    leave.abort();
    await assert.rejects(hung, { name: 'AbortError' });
    assert.equal(endpoint.requests[0].status, undefined);
    endpoint.restore();
    await grant(endpoint);
  });

  test('flood: the body goes on until the client leaves', async (t) => {
    const endpoint = await start(t);
    endpoint.setAnswer({ fault: 'flood' });
    const body = new URLSearchParams({ ...GRANT, ...CLIENT });
    const response = await fetch(endpoint.tokenEndpoint, { method: 'POST', body });
    assert.equal(response.headers.get('content-length'), null);
    let read = 0;
    for await (const chunk of response.body) {
      if (read === 0) assert.match(Buffer.from(chunk).toString(), /^{"access_token":"/);
      read += chunk.length;
      if (read > 4_000_000) break;
    }
    assert.ok(read > 4_000_000);
    endpoint.restore();
    await grant(endpoint);
  });

  test('redirect: a client that follows is seen in the log', async (t) => {
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

  test('offline: requests break, new ones are refused, the port comes back', async (t) => {
    const endpoint = await start(t);
    endpoint.answerNext({ fault: 'hang' });
    const hung = assert.rejects(post(endpoint), TypeError);
    await endpoint.waitForRequests(1);
    await endpoint.goOffline();
    await endpoint.goOffline();
    await hung;
    const refused = await post(endpoint).catch((error) => error.cause.code);
    assert.equal(refused, 'ECONNREFUSED');
    const before = endpoint.tokenEndpoint;
    await endpoint.goOnline();
    await endpoint.goOnline();
    assert.equal(endpoint.tokenEndpoint, before);
    await grant(endpoint);
    assert.equal(endpoint.requestCount, 2);
  });
});

describe('the fake token endpoint: its end', { concurrency: true }, () => {
  test('is one, however often it is called, and final', async () => {
    const endpoint = await startFakeTokenEndpoint();
    endpoint.setAnswer({ fault: 'hang' });
    const hung = assert.rejects(post(endpoint), TypeError);
    await endpoint.waitForRequests(1);
    await Promise.all([endpoint.close(), endpoint.close(), endpoint[Symbol.asyncDispose]()]);
    await hung;
    assert.equal(await post(endpoint).catch((error) => error.cause.code), 'ECONNREFUSED');
    await assert.rejects(endpoint.goOnline(), /closed/);
  });

  test('sends none of the answers that are still due', async () => {
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

  test('leaves nothing that keeps the process alive', () => {
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

describe('the fake token endpoint over TLS', async () => {
  const certificates = makeCertificates();
  // After all tests of the file, and thus after those here.
  test.after(() => certificates.remove());

  /** A token request over a connection of its own: its status, or the code of its failure. */
  const attempt = (endpoint, host = '127.0.0.1') =>
    new Promise((resolve) => {
      const where = endpoint.tokenEndpoint.replace('127.0.0.1', host);
      const headers = { 'content-type': FORM };
      const request = https.request(where, {
        method: 'POST',
        agent: false,
        ca: certificates.ca.cert,
        headers,
        // The endpoint listens on the IPv4 address alone.
        family: 4,
      });
      request.on('error', (error) => resolve(error.code));
      request.on('response', (response) => {
        response.on('error', (error) => resolve(error.code));
        response.on('end', () => resolve(response.statusCode)).resume();
      });
      request.end(new URLSearchParams({ ...GRANT, ...CLIENT }).toString());
    });

  test('it serves the names of its certificate, and no other', async (t) => {
    const endpoint = await start(t, { tls: certificates.server });
    assert.match(endpoint.tokenEndpoint, /^https:/);
    assert.equal(await attempt(endpoint), 200);
    assert.equal(await attempt(endpoint, 'localhost'), 200);
    const wrongName = await start(t, { tls: certificates.wrongName });
    assert.equal(await attempt(wrongName), 'ERR_TLS_CERT_ALTNAME_INVALID');
    const expired = await start(t, { tls: certificates.expired });
    assert.equal(await attempt(expired), 'CERT_HAS_EXPIRED');
    assert.equal(expired.requestCount, 0);
    assert.equal(expired.connectionCount, 1);
  });

  test('faults and being offline work as without', async (t) => {
    const endpoint = await start(t, { tls: certificates.server });
    endpoint.answerNext({ fault: 'reset' }, { fault: 'close' }, { fault: 'truncate' });
    endpoint.answerNext({ fault: 'hang' });
    for (const _ of [1, 2, 3]) assert.equal(await attempt(endpoint), 'ECONNRESET');
    const hung = attempt(endpoint);
    await endpoint.waitForRequests(4);
    await endpoint.goOffline();
    assert.equal(await hung, 'ECONNRESET');
    assert.equal(await attempt(endpoint), 'ECONNREFUSED');
    await endpoint.goOnline();
    assert.equal(await attempt(endpoint), 200);
    assert.deepEqual(
      endpoint.requests.map(({ connection, status }) => [connection, status]),
      [
        [1, undefined],
        [2, undefined],
        [3, 200],
        [4, undefined],
        [5, 200],
      ],
    );
  });
});

describe('the servers of the tests themselves', { concurrency: true }, () => {
  test('an endpoint in another process is set and asked from here', async (t) => {
    const endpoint = await startFakeTokenEndpointProcess({ expiresIn: 60 });
    t.after(() => endpoint.close());
    assert.equal((await grant(endpoint)).expires_in, 60);
    await endpoint.set('setAnswer', { status: 503, body: Buffer.from('busy') });
    assert.equal((await post(endpoint)).text, 'busy');
    assert.deepEqual(await endpoint.stats(), { requestCount: 2, connectionCount: 1 });
    await assert.rejects(endpoint.set('setDelay', -1), { name: 'TypeError', message: /^ms must/ });
    await endpoint.close();
    await assert.rejects(endpoint.stats());
    await assert.rejects(startFakeTokenEndpointProcess({ realm: '' }), TypeError);
  });

  test('a raw server does as its function says, connection by connection', async (t) => {
    const bytes = 'HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok';
    const server = await startRawServer((socket, number) => {
      if (number === 1) socket.destroy();
      else sendBytes(bytes)(socket);
    });
    t.after(() => server.close());
    await assert.rejects(fetch(server.url), TypeError);
    assert.equal(await (await fetch(server.url)).text(), 'ok');
    assert.equal(server.connectionCount, 2);
  });
});
