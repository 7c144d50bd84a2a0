'use strict';

// Over real TLS: the certificates that a manager trusts, its connections, and how responses end.
// `tls-chains.test.js` lists servers, `trust-table.test.js` checks the environment, and
// `crates/transport/tests` checks the transport by itself.

const assert = require('node:assert/strict');
const fs = require('node:fs');
const { describe, it } = require('node:test');
const tls = require('node:tls');
const { makeCertificates } = require('../tools/certificates.js');
const { startApi } = require('./support/api-server.js');
const { makeFile } = require('./support/files.js');
const { listen } = require('./support/listen.js');
const { openManager, recorder, rejection, start, tokenJson } = require('./support/manager.js');
const { httpsPost } = require('./support/token-requests.js');

/** A hanging test must fail. */
const LIMIT_MS = 30_000;

const ours = makeCertificates();
const foreign = makeCertificates();

const pair = ({ key, cert }) => ({ key, cert });
const secure = (certificate = ours.server) => ({ tls: pair(certificate) });

describe('trust', { timeout: LIMIT_MS }, () => {
  it('the manager refuses an unknown authority immediately, with advice', async (t) => {
    const { endpoint, manager, open } = await start(t, {}, secure());
    // The first manager may request the authorities from Node, which takes one more connection.
    await rejection(open().getToken(), 'ERR_KEYCLOAK_TLS');
    const before = endpoint.connectionCount;
    const error = await rejection(manager.getToken(), 'ERR_KEYCLOAK_TLS');
    assert.match(error.message, /unknown issuer.+ca, caFile or NODE_EXTRA_CA_CERTS/);
    assert.ok(error.message.includes(endpoint.tokenEndpoint));
    assert.deepEqual([error.retryable, error.attempts], [false, 1]);
    assert.deepEqual([endpoint.connectionCount, endpoint.requestCount], [before + 1, 0]);
  });

  it('the manager trusts the authorities of `ca` and `caFile` together', async (t) => {
    const { open } = await start(t, {}, secure());
    for (const options of [
      { ca: ours.ca.cert },
      { ca: `${foreign.ca.cert}\n${ours.ca.cert}` },
      { caFile: ours.ca.certFile },
      { ca: ours.ca.cert, caFile: foreign.ca.certFile },
      { ca: foreign.ca.cert, caFile: ours.ca.certFile },
    ]) {
      assert.equal(typeof (await open(options).getToken()), 'string');
    }
    await rejection(open({ ca: foreign.ca.cert }).getToken(), 'ERR_KEYCLOAK_TLS');
  });

  it('the next acquisition uses the new content of `caFile`', async (t) => {
    const { server, url } = await startApi(t, () => tokenJson(), secure());
    const caFile = makeFile(t, ours.ca.cert);
    const manager = openManager(t, { tokenEndpoint: url, caFile });
    await manager.getToken();
    // The server's certificate has a new authority, which new connections must trust.
    server.setSecureContext(pair(foreign.server));
    server.closeAllConnections();
    fs.writeFileSync(caFile, foreign.ca.cert);
    await manager.getToken({ forceRefresh: true });
    fs.writeFileSync(caFile, ours.ca.cert);
    const call = manager.getToken({ forceRefresh: true });
    await rejection(call, 'ERR_KEYCLOAK_TLS');
    assert.equal(await manager.getToken(), 'token-1', 'the held token stays');
  });

  it('a `caFile` without a certificate fails the acquisition, and the error names it', async (t) => {
    const caFile = makeFile(t, ours.ca.key);
    const { endpoint, manager } = await start(t, { caFile }, secure());
    const error = await rejection(manager.getToken(), 'ERR_KEYCLOAK_CREDENTIAL');
    assert.ok(error.message.includes(caFile), error.message);
    assert.match(error.message, /no PEM certificate/);
    assert.equal(error.retryable, false);
    assert.equal(endpoint.connectionCount, 0);
  });

  for (const [name, certificate, expected] of [
    ['for another name', ours.wrongName, /"elsewhere\.example", not for "127\.0\.0\.1"/],
    ['that has expired', ours.expired, /the certificate has expired/],
  ]) {
    it(`the manager refuses a certificate ${name}, unless skipTlsVerify is true`, async (t) => {
      const options = { ca: ours.ca.cert };
      const { endpoint, manager, open } = await start(t, options, secure(certificate));
      const error = await rejection(manager.getToken(), 'ERR_KEYCLOAK_TLS');
      assert.match(error.message, expected);
      assert.equal(endpoint.requestCount, 0);
      const { logger, at } = recorder();
      const unverified = open({ skipTlsVerify: true, logger });
      await unverified.getToken();
      await unverified.getToken({ forceRefresh: true });
      assert.equal(at('warn').length, 1);
      assert.match(at('warn')[0], /skipTlsVerify/);
    });
  }
});

for (const [scheme, options, endpointOptions] of [
  ['http', {}, {}],
  ['https', { ca: ours.ca.cert }, secure()],
]) {
  describe(`${scheme} connections`, { timeout: LIMIT_MS }, () => {
    it('stay open after answers of any kind, and equal managers share them', async (t) => {
      const { endpoint, manager, open } = await start(t, options, endpointOptions);
      const other = open();
      await rejection(open({ clientSecret: 'wrong' }).getToken(), 'ERR_KEYCLOAK_OAUTH');
      for (const each of [manager, other, manager]) await each.getToken({ forceRefresh: true });
      await manager.close();
      await other.getToken({ forceRefresh: true });
      assert.deepEqual([endpoint.requestCount, endpoint.connectionCount], [5, 1]);
    });

    it('that the server closed while they were idle cause no retry', async (t) => {
      const { endpoint, manager, at } = await start(t, options, endpointOptions);
      await manager.getToken();
      await endpoint.goOffline();
      await endpoint.goOnline();
      await manager.getToken({ forceRefresh: true });
      endpoint.answerNext({ fault: 'reset' });
      await manager.getToken({ forceRefresh: true });
      const { retries, acquisitions } = manager.snapshot().counters;
      assert.deepEqual({ retries, acquisitions }, { retries: 0, acquisitions: 3 });
      assert.deepEqual(at('warn'), []);
    });
  });
}

describe('a response that ends without close_notify', { timeout: LIMIT_MS }, () => {
  const CHUNKED = 'Transfer-Encoding: chunked';
  const OAUTH = '{"error":"invalid_client"}';
  // [the name, the error's code or `token`, the status, the body, a header]
  for (const [name, code, status = '200 OK', body = tokenJson(), field = 'X-A: b'] of [
    ['gives its token if it has no length and its JSON object is complete', 'token'],
    [
      'is a network error if its JSON object is incomplete',
      'NETWORK',
      '200 OK',
      tokenJson().slice(0, -1),
    ],
    ['is a network error if it is empty', 'NETWORK', '200 OK', ''],
    [
      'is a network error if it is too short',
      'NETWORK',
      '200 OK',
      tokenJson(),
      'Content-Length: 999',
    ],
    ['is a network error if a chunk is incomplete', 'NETWORK', '200 OK', 'fff\r\n{}', CHUNKED],
    ['is an OAuth error if its JSON object is complete', 'OAUTH', '400 Bad', OAUTH],
    [
      'is a network error if the JSON of an OAuth error is incomplete',
      'NETWORK',
      '400 Bad',
      OAUTH.slice(0, -1),
    ],
    ['is an HTTP error because of its status', 'HTTP', '401 No', '<html>'],
    ['is a redirect because of its status', 'PROTOCOL', '302 Found', ''],
  ]) {
    it(name, async (t) => {
      const server = tls.createServer(pair(ours.server));
      const { address, sockets } = await listen(t, server);
      server.on('secureConnection', (socket) => {
        socket.on('error', () => {});
        socket.once('data', () => {
          socket.write(`HTTP/1.1 ${status}\r\n${field}\r\n\r\n${body}`, () => {
            // This ends the connection below TLS.
            for (const raw of sockets) raw.end();
          });
        });
      });
      const options = { tokenEndpoint: `https://${address}/token`, ca: ours.ca.cert };
      const manager = openManager(t, { ...options, requestTimeoutMs: 2_000 });
      if (code === 'token') assert.equal(await manager.getToken(), 'token-1');
      else await rejection(manager.getToken(), `ERR_KEYCLOAK_${code}`);
    });
  }
});

it('a server that asks for a certificate by renegotiation causes an error', {
  timeout: LIMIT_MS,
}, async (t) => {
  const old = { ...pair(ours.server), maxVersion: 'TLSv1.2' };
  const server = tls.createServer(old, (socket) => {
    socket.on('error', () => {});
    socket.once('data', () => {
      socket.renegotiate({ requestCert: true, rejectUnauthorized: false }, (error) => {
        const head = 'HTTP/1.1 200 OK\r\nConnection: close';
        if (error === null) socket.end(`${head}\r\n\r\n${tokenJson()}`);
      });
    });
  });
  const { address } = await listen(t, server);
  const options = { tokenEndpoint: `https://${address}/token`, ca: ours.ca.cert };
  assert.equal(await httpsPost(options.tokenEndpoint, options.ca), 200, 'Node');
  const { message } = await rejection(openManager(t, options).getToken(), 'ERR_KEYCLOAK_TLS');
  assert.match(message, /renegotiation, .+ set tokenFetch: true/);
});

it('the manager reads a response with 990 additional headers', { timeout: LIMIT_MS }, async (t) => {
  const { url } = await startApi(t, (_, response) => {
    for (let index = 0; index < 990; index += 1) response.setHeader(`x-${index}`, '1');
    return tokenJson();
  });
  assert.equal(await openManager(t, { tokenEndpoint: url }).getToken(), 'token-1');
});
