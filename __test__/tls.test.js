'use strict';

// The certificates that a manager trusts, over real TLS, and its connections.
// `trust-table.test.js` checks the environment, `crates/transport/tests` the transport by itself.

const assert = require('node:assert/strict');
const { once } = require('node:events');
const fs = require('node:fs');
const https = require('node:https');
const { describe, it } = require('node:test');
const { makeCertificates } = require('../tools/certificates.js');
const { makeFile } = require('./support/files.js');
const { listen } = require('./support/listen.js');
const { recorder, rejection, start, tokenResponse } = require('./support/manager.js');

/** A hanging test must fail. */
const LIMIT_MS = 30_000;

const ours = makeCertificates();
const foreign = makeCertificates();

const pair = ({ key, cert }) => ({ key, cert });
const secure = (certificate = ours.server) => ({ tls: pair(certificate) });

/** A server whose TLS is configured freely; tokens are `token-1` and so on. */
async function serve(t, options) {
  let count = 0;
  const server = https.createServer({ ...pair(ours.server), ...options }, (request, response) => {
    request.resume().on('end', () => {
      count += 1;
      response.setHeader('Content-Type', 'application/json');
      response.end(JSON.stringify(tokenResponse(`token-${count}`, 300)));
    });
  });
  const { address } = await listen(t, server);
  return { server, tokenEndpoint: `https://${address}/token` };
}

describe('trust', { timeout: LIMIT_MS }, () => {
  it('an unknown authority is refused at once, with advice', async (t) => {
    const { endpoint, manager, open } = await start(t, {}, secure());
    // The first manager may ask Node for its authorities, which costs a connection.
    await rejection(open().getToken(), 'ERR_KEYCLOAK_TLS');
    const before = endpoint.connectionCount;
    const error = await rejection(manager.getToken(), 'ERR_KEYCLOAK_TLS');
    assert.match(error.message, /unknown issuer.+`ca`, `caFile` or NODE_EXTRA_CA_CERTS/);
    assert.ok(error.message.includes(endpoint.tokenEndpoint));
    assert.deepEqual([error.retryable, error.attempts], [false, 1]);
    assert.deepEqual([endpoint.connectionCount, endpoint.requestCount], [before + 1, 0]);
  });

  it('authorities come from `ca` and `caFile`, which add up', async (t) => {
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

  it('a replaced `caFile` counts from the next acquisition on', async (t) => {
    const { server, tokenEndpoint } = await serve(t);
    const caFile = makeFile(t, ours.ca.cert);
    const { manager } = await start(t, { tokenEndpoint, caFile });
    assert.equal(await manager.getToken(), 'token-1');
    // The server has a new authority, which new connections must know.
    server.setSecureContext(pair(foreign.server));
    server.closeAllConnections();
    fs.writeFileSync(caFile, foreign.ca.cert);
    assert.equal(await manager.getToken({ forceRefresh: true }), 'token-2');
    fs.writeFileSync(caFile, ours.ca.cert);
    const call = manager.getToken({ forceRefresh: true });
    await rejection(call, 'ERR_KEYCLOAK_TLS');
    assert.equal(await manager.getToken(), 'token-2', 'the held token stays');
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
    ['for another name', () => ours.wrongName, /"elsewhere\.example", not "127\.0\.0\.1"/],
    ['that has expired', () => ours.expired, /certificate expired/],
  ]) {
    it(`a certificate ${name} is refused, unless skipTlsVerify is set`, async (t) => {
      const options = { ca: ours.ca.cert };
      const { endpoint, manager, open } = await start(t, options, secure(certificate()));
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

describe('protocol', { timeout: LIMIT_MS }, () => {
  it('TLS 1.1 is refused', async (t) => {
    const old = { minVersion: 'TLSv1.1', maxVersion: 'TLSv1.1', ciphers: 'ALL@SECLEVEL=0' };
    const { server, tokenEndpoint } = await serve(t, old);
    // The server accepts a client that speaks it: what follows is our refusal.
    const agent = new https.Agent({ ...old, ca: ours.ca.cert });
    const [response] = await once(https.get(tokenEndpoint, { agent }), 'response');
    assert.equal(response.resume().statusCode, 200);
    agent.destroy();
    let handshakes = 0;
    server.on('tlsClientError', () => {
      handshakes += 1;
    });
    const { manager } = await start(t, { tokenEndpoint, ca: ours.ca.cert });
    const error = await rejection(manager.getToken(), 'ERR_KEYCLOAK_TLS');
    assert.match(error.message, /neither TLS 1\.2 nor TLS 1\.3/);
    assert.equal(handshakes, 1, 'the manager does not retry');
  });
});

for (const [scheme, options, endpointOptions] of [
  ['http', () => ({}), () => ({})],
  ['https', () => ({ ca: ours.ca.cert }), () => secure()],
]) {
  describe(`${scheme} connections`, { timeout: LIMIT_MS }, () => {
    it('are kept after answers of any kind, and shared by equal managers', async (t) => {
      const { endpoint, manager, open } = await start(t, options(), endpointOptions());
      const other = open();
      await rejection(open({ clientSecret: 'wrong' }).getToken(), 'ERR_KEYCLOAK_OAUTH');
      for (const each of [manager, other, manager]) await each.getToken({ forceRefresh: true });
      await manager.close();
      await other.getToken({ forceRefresh: true });
      assert.deepEqual([endpoint.requestCount, endpoint.connectionCount], [5, 1]);
    });

    it('that the server closed while idle are replaced without a retry', async (t) => {
      const { endpoint, manager, at } = await start(t, options(), endpointOptions());
      await manager.getToken();
      await endpoint.goOffline();
      await endpoint.goOnline();
      await manager.getToken({ forceRefresh: true });
      endpoint.answerNext({ fault: 'reset' });
      await manager.getToken({ forceRefresh: true });
      const { retries, acquisitions } = manager.snapshot().counters;
      assert.deepEqual({ retries, acquisitions }, { retries: 0, acquisitions: 3 });
      assert.deepEqual(at('warn'), []);
      await manager.close();
    });
  });
}
