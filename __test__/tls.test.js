'use strict';

// The certificates that a manager trusts, over real TLS, and the use of its connections.

const assert = require('node:assert/strict');
const { once } = require('node:events');
const fs = require('node:fs');
const https = require('node:https');
const os = require('node:os');
const path = require('node:path');
const { after, before, describe, it } = require('node:test');
const { startFakeTokenEndpoint } = require('../lib/testing');
const { run } = require('./programs');
const { makeCertificates } = require('./support/certificates.js');
const { startRawServer } = require('./support/fault-server.js');
const { rejection, start, tokenResponse } = require('./support/manager.js');
const { otherNode } = require('./support/other-node.js');

/** A hanging test must fail. */
const LIMIT_MS = 30_000;

let ours;
let foreign;

before(() => {
  ours = makeCertificates();
  foreign = makeCertificates();
});

after(() => {
  ours?.remove();
  foreign?.remove();
});

const pair = ({ key, cert }) => ({ key, cert });
const secure = (certificate = ours.server) => ({ tls: pair(certificate) });

/** A file of its own for a test. */
function file(t, content) {
  const folder = fs.mkdtempSync(path.join(ours.directory, 'test-'));
  t.after(() => fs.rmSync(folder, { recursive: true, force: true }));
  const name = path.join(folder, 'authorities.pem');
  if (content !== undefined) fs.writeFileSync(name, content);
  return name;
}

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
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.after(() => {
    server.close();
    server.closeAllConnections();
  });
  return { server, tokenEndpoint: `https://127.0.0.1:${server.address().port}/token` };
}

describe('trust', { timeout: LIMIT_MS }, () => {
  it('an unknown authority is refused at once, and the message says what helps', async (t) => {
    const { endpoint, manager, open } = await start(t, {}, secure());
    // What Node trusts may be asked for only when it is needed, and then one connection is lost.
    await rejection(open().getToken(), 'ERR_KEYCLOAK_TLS');
    const before = endpoint.connectionCount;
    const error = await rejection(manager.getToken(), 'ERR_KEYCLOAK_TLS');
    assert.match(error.message, /unknown issuer.+`ca`, `caFile` or NODE_EXTRA_CA_CERTS/);
    assert.ok(error.message.includes(endpoint.tokenEndpoint));
    assert.deepEqual([error.retryable, error.attempts], [false, 1]);
    assert.deepEqual([endpoint.connectionCount, endpoint.requestCount], [before + 1, 0]);
  });

  it('another authority in `ca` does not help', async (t) => {
    const { manager } = await start(t, { ca: foreign.ca.cert }, secure());
    await rejection(manager.getToken(), 'ERR_KEYCLOAK_TLS');
  });

  it('`ca` is trusted, be it one authority or several', async (t) => {
    const { open } = await start(t, {}, secure());
    for (const ca of [ours.ca.cert, `${foreign.ca.cert}\n${ours.ca.cert}`]) {
      assert.equal(typeof (await open({ ca }).getToken()), 'string');
    }
  });

  it('`ca` that is no certificate is refused by the constructor', async (t) => {
    const { open } = await start(t, {}, secure());
    const broken = ours.ca.cert.replace(/\n[^-\n]{20}/, '\n????????????????????');
    const empty = '-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n';
    for (const ca of ['garbage', ours.ca.key, broken, empty, `${ours.ca.cert}${broken}`]) {
      assert.throws(() => open({ ca }), {
        name: 'KeycloakTokenError',
        code: 'ERR_KEYCLOAK_CONFIG',
        message: /^invalid options: ca: .*(PEM|certificate)/,
      });
    }
  });

  it('`caFile` is trusted', async (t) => {
    const { manager } = await start(t, { caFile: ours.ca.certFile }, secure());
    assert.equal(typeof (await manager.getToken()), 'string');
  });

  it('`ca` and `caFile` add up', async (t) => {
    const { open } = await start(t, {}, secure());
    for (const [given, inFile] of [
      [ours, foreign],
      [foreign, ours],
    ]) {
      const manager = open({ ca: given.ca.cert, caFile: inFile.ca.certFile });
      assert.equal(typeof (await manager.getToken()), 'string');
    }
  });

  it('a replaced `caFile` counts from the next acquisition on', async (t) => {
    const { server, tokenEndpoint } = await serve(t);
    const caFile = file(t, ours.ca.cert);
    const { open } = await start(t);
    const manager = open({ tokenEndpoint, caFile });
    assert.equal(await manager.getToken(), 'token-1');
    // The server has a new authority. Who connects anew must know it.
    server.setSecureContext(pair(foreign.server));
    server.closeAllConnections();
    fs.writeFileSync(caFile, foreign.ca.cert);
    assert.equal(await manager.getToken({ forceRefresh: true }), 'token-2');
    fs.writeFileSync(caFile, ours.ca.cert);
    const call = manager.getToken({ forceRefresh: true });
    await rejection(call, 'ERR_KEYCLOAK_TLS');
    assert.equal(await manager.getToken(), 'token-2', 'the held token stays');
  });

  for (const [name, content, expected] of [
    ['is not there', () => undefined, /No such file/],
    ['holds something else', () => 'garbage', /no PEM certificate/],
    ['is empty', () => '', /no PEM certificate/],
    ['holds a key', () => ours.ca.key, /no PEM certificate/],
    ['is cut off', () => ours.ca.cert.slice(0, 200), /certificate/],
  ]) {
    it(`a \`caFile\` that ${name} fails the acquisition, named`, async (t) => {
      const caFile = file(t, content());
      const { endpoint, manager } = await start(t, { caFile }, secure());
      const error = await rejection(manager.getToken(), 'ERR_KEYCLOAK_CREDENTIAL');
      assert.ok(error.message.includes(caFile), error.message);
      assert.match(error.message, expected);
      assert.equal(error.retryable, false);
      assert.equal(endpoint.connectionCount, 0);
    });
  }

  it('a `caFile` that is a folder fails the acquisition, named', async (t) => {
    const caFile = ours.directory;
    const { manager } = await start(t, { caFile }, secure());
    const error = await rejection(manager.getToken(), 'ERR_KEYCLOAK_CREDENTIAL');
    assert.ok(error.message.includes(caFile), error.message);
  });

  it('a certificate for another name is refused, and both names are told', async (t) => {
    const { endpoint, manager } = await start(t, { ca: ours.ca.cert }, secure(ours.wrongName));
    const error = await rejection(manager.getToken(), 'ERR_KEYCLOAK_TLS');
    assert.match(error.message, /"elsewhere\.example", not "127\.0\.0\.1"/);
    assert.equal(endpoint.requestCount, 0);
  });

  it('an expired certificate is refused', async (t) => {
    const { endpoint, manager } = await start(t, { ca: ours.ca.cert }, secure(ours.expired));
    const error = await rejection(manager.getToken(), 'ERR_KEYCLOAK_TLS');
    assert.match(error.message, /certificate expired/);
    assert.equal(endpoint.requestCount, 0);
  });

  it('the name in the URL is what counts', async (t) => {
    const { endpoint, open } = await start(t, { ca: ours.ca.cert }, secure());
    const tokenEndpoint = endpoint.tokenEndpoint.replace('127.0.0.1', 'localhost');
    assert.equal(typeof (await open({ tokenEndpoint }).getToken()), 'string');
  });

  it('skipTlsVerify takes any certificate, and warns once', async (t) => {
    for (const certificate of [ours.server, ours.wrongName, ours.expired]) {
      const { manager, at } = await start(t, { skipTlsVerify: true }, secure(certificate));
      await manager.getToken();
      await manager.getToken({ forceRefresh: true });
      assert.equal(at('warn').length, 1);
      assert.match(at('warn')[0], /skipTlsVerify/);
    }
  });

  it('skipTlsVerify of one manager is not that of another', async (t) => {
    const { manager, open } = await start(t, { skipTlsVerify: true }, secure());
    await manager.getToken();
    await rejection(open({ skipTlsVerify: false }).getToken(), 'ERR_KEYCLOAK_TLS');
  });
});

describe('what the environment says', { timeout: LIMIT_MS }, () => {
  /** The view of a process that is started in this way. */
  async function seen(t, { env, execArgv, options = {}, set = {}, major, user = '' }) {
    const endpoint = await startFakeTokenEndpoint(secure());
    t.after(() => endpoint.close());
    let binary;
    if (major !== undefined) {
      binary = await otherNode(t, major);
      if (binary === undefined) return undefined;
    }
    const args = [endpoint.tokenEndpoint, JSON.stringify(options), JSON.stringify(set), user];
    const clean = { NODE_EXTRA_CA_CERTS: '', SSL_CERT_FILE: '', NODE_TLS_REJECT_UNAUTHORIZED: '' };
    return run(t, 'trust.js', args, { execArgv, env: { ...clean, ...env }, binary }).result();
  }

  it('nothing: the authority is unknown', async (t) => {
    assert.equal((await seen(t, {})).code, 'ERR_KEYCLOAK_TLS');
  });

  it('NODE_TLS_REJECT_UNAUTHORIZED=0 counts as skipTlsVerify', async (t) => {
    const { token, warnings } = await seen(t, { env: { NODE_TLS_REJECT_UNAUTHORIZED: '0' } });
    assert.equal(token, 'string');
    assert.equal(warnings.length, 1);
    assert.match(warnings[0], /NODE_TLS_REJECT_UNAUTHORIZED/);
  });

  it('NODE_TLS_REJECT_UNAUTHORIZED=1 does not', async (t) => {
    const { code, warnings } = await seen(t, { env: { NODE_TLS_REJECT_UNAUTHORIZED: '1' } });
    assert.equal(code, 'ERR_KEYCLOAK_TLS');
    assert.equal(warnings.length, 1, 'the failure');
  });

  for (const major of [undefined, 22, 24]) {
    const where = major === undefined ? '' : ` on Node ${major}`;

    it(`NODE_EXTRA_CA_CERTS is trusted${where}`, async (t) => {
      const outcome = await seen(t, { env: { NODE_EXTRA_CA_CERTS: ours.ca.certFile }, major });
      if (outcome) assert.deepEqual(outcome, { token: 'string', warnings: [] });
    });

    it(`--use-openssl-ca trusts SSL_CERT_FILE${where}`, async (t) => {
      const execArgv = ['--use-openssl-ca'];
      const env = { SSL_CERT_FILE: ours.ca.certFile };
      const outcome = await seen(t, { env, execArgv, major });
      if (outcome) assert.deepEqual(outcome, { token: 'string', warnings: [] });
    });
  }

  it('SSL_CERT_FILE alone is not trusted, as Node does not', async (t) => {
    const { code } = await seen(t, { env: { SSL_CERT_FILE: ours.ca.certFile } });
    assert.equal(code, 'ERR_KEYCLOAK_TLS');
  });

  it('NODE_EXTRA_CA_CERTS that is set at run time is not trusted, as Node does not', async (t) => {
    const { code } = await seen(t, { set: { NODE_EXTRA_CA_CERTS: ours.ca.certFile } });
    assert.equal(code, 'ERR_KEYCLOAK_TLS');
  });

  for (const major of [undefined, 22, 24]) {
    const where = major === undefined ? '' : ` on Node ${major}`;

    it(`NODE_EXTRA_CA_CERTS is trusted by a process that became another user${where}`, async (t) => {
      if (process.getuid?.() !== 0) return t.skip('only root can become another user');
      const certificate = path.join(os.tmpdir(), `authority-${process.pid}-${major}.pem`);
      t.after(() => fs.rmSync(certificate));
      fs.writeFileSync(certificate, ours.ca.cert, { mode: 0o644 });
      const env = { NODE_EXTRA_CA_CERTS: certificate };
      const outcome = await seen(t, { env, user: 65534, major });
      if (outcome) assert.deepEqual(outcome, { token: 'string', warnings: [] });
    });
  }

  it('NODE_EXTRA_CA_CERTS that cannot be read changes nothing', async (t) => {
    const { code } = await seen(t, { env: { NODE_EXTRA_CA_CERTS: file(t) } });
    assert.equal(code, 'ERR_KEYCLOAK_TLS');
  });

  it('`ca` adds to it', async (t) => {
    const env = { NODE_EXTRA_CA_CERTS: ours.ca.certFile };
    const { token } = await seen(t, { env, options: { ca: foreign.ca.cert } });
    assert.equal(token, 'string');
  });
});

describe('protocol', { timeout: LIMIT_MS }, () => {
  it('TLS 1.2 and TLS 1.3 are spoken', async (t) => {
    const { open } = await start(t);
    for (const version of ['TLSv1.2', 'TLSv1.3']) {
      const { tokenEndpoint } = await serve(t, { minVersion: version, maxVersion: version });
      const manager = open({ tokenEndpoint, ca: ours.ca.cert });
      assert.equal(await manager.getToken(), 'token-1', version);
    }
  });

  it('TLS 1.1 is not', async (t) => {
    const old = { minVersion: 'TLSv1.1', maxVersion: 'TLSv1.1', ciphers: 'ALL@SECLEVEL=0' };
    const { server, tokenEndpoint } = await serve(t, old);
    // Who speaks it is served: what follows is our refusal.
    const agent = new https.Agent({ ...old, ca: ours.ca.cert });
    const [response] = await once(https.get(tokenEndpoint, { agent }), 'response');
    assert.equal(response.resume().statusCode, 200);
    agent.destroy();
    let handshakes = 0;
    server.on('tlsClientError', () => {
      handshakes += 1;
    });
    const { open } = await start(t);
    const manager = open({ tokenEndpoint, ca: ours.ca.cert });
    const error = await rejection(manager.getToken(), 'ERR_KEYCLOAK_TLS');
    assert.match(error.message, /neither TLS 1\.2 nor TLS 1\.3/);
    assert.equal(handshakes, 1, 'it is not tried again');
  });

  it('a server of plain http on an https URL is told from a bad certificate', async (t) => {
    const { endpoint, open } = await start(t);
    const tokenEndpoint = endpoint.tokenEndpoint.replace('http:', 'https:');
    const error = await rejection(open({ tokenEndpoint }).getToken(), 'ERR_KEYCLOAK_TLS');
    assert.match(error.message, /does not speak TLS/);
    assert.equal(endpoint.connectionCount, 1);
  });

  it('a server of https on an http URL is an error that may pass', async (t) => {
    const { endpoint, open } = await start(t, {}, secure());
    const tokenEndpoint = endpoint.tokenEndpoint.replace('https:', 'http:');
    await rejection(open({ tokenEndpoint }).getToken(), 'ERR_KEYCLOAK_NETWORK');
    assert.equal(endpoint.requestCount, 0);
  });

  it('a peer that hangs up in the handshake is tried again', async (t) => {
    const server = await startRawServer((socket) => socket.once('data', () => socket.end()));
    t.after(() => server.close());
    const { open } = await start(t);
    const tokenEndpoint = `https://127.0.0.1:${server.port}/token`;
    const error = await rejection(open({ tokenEndpoint }).getToken(), 'ERR_KEYCLOAK_NETWORK');
    assert.deepEqual([error.retryable, error.attempts], [true, 3]);
    assert.equal(server.connectionCount, 3);
  });
});

for (const [scheme, options, endpointOptions] of [
  ['http', () => ({}), () => ({})],
  ['https', () => ({ ca: ours.ca.cert }), () => secure()],
]) {
  describe(`${scheme} connections`, { timeout: LIMIT_MS }, () => {
    const begin = (t) => start(t, options(), endpointOptions());

    it('are kept for the next acquisition', async (t) => {
      const { endpoint, manager } = await begin(t);
      for (let round = 0; round < 5; round += 1) await manager.getToken({ forceRefresh: true });
      assert.deepEqual([endpoint.requestCount, endpoint.connectionCount], [5, 1]);
    });

    it('are kept after a refusal', async (t) => {
      const { endpoint, open } = await begin(t);
      await rejection(open({ clientSecret: 'wrong' }).getToken(), 'ERR_KEYCLOAK_OAUTH');
      endpoint.answerNext({ status: 503 });
      const manager = open();
      await manager.getToken();
      assert.equal(manager.snapshot().counters.retries, 1);
      assert.ok(endpoint.connectionCount <= 2, `${endpoint.connectionCount} connections`);
      assert.equal(endpoint.requestCount, 3);
    });

    it('are shared by managers that trust the same', async (t) => {
      const { endpoint, manager, open } = await begin(t);
      const others = [open(), open()];
      for (const one of [manager, ...others]) await one.getToken();
      assert.deepEqual([endpoint.requestCount, endpoint.connectionCount], [3, 1]);
    });

    it('that the server closed while idle are replaced, which nobody notices', async (t) => {
      const { endpoint, manager, at } = await begin(t);
      const tokens = new Set([await manager.getToken()]);
      for (let round = 0; round < 5; round += 1) {
        await endpoint.goOffline();
        await endpoint.goOnline();
        tokens.add(await manager.getToken({ forceRefresh: true }));
      }
      const { retries, acquisitions } = manager.snapshot().counters;
      assert.deepEqual({ retries, acquisitions }, { retries: 0, acquisitions: 6 });
      assert.equal(tokens.size, 6);
      assert.deepEqual(at('warn'), []);
      assert.deepEqual([endpoint.requestCount, endpoint.connectionCount], [6, 6]);
    });

    it('that the server closes at the next request are replaced, once', async (t) => {
      const { endpoint, manager } = await begin(t);
      await manager.getToken();
      endpoint.answerNext({ fault: 'reset' });
      await manager.getToken({ forceRefresh: true });
      assert.equal(manager.snapshot().counters.retries, 0);
      endpoint.setAnswer({ fault: 'reset' });
      const call = manager.getToken({ forceRefresh: true });
      const error = await rejection(call, 'ERR_KEYCLOAK_NETWORK');
      assert.equal(error.attempts, 3);
    });

    it('are closed with the last manager that used them', async (t) => {
      const { endpoint, manager, open } = await begin(t);
      const other = open();
      await manager.getToken();
      await other.getToken();
      await manager.close();
      await other.getToken({ forceRefresh: true });
      assert.equal(endpoint.connectionCount, 1);
      await other.close();
      await open().getToken();
      assert.equal(endpoint.connectionCount, 2);
    });
  });
}

describe('connections', { timeout: LIMIT_MS }, () => {
  it('are not shared by managers that trust otherwise', async (t) => {
    const { endpoint, open } = await start(t, {}, secure());
    const trusts = [
      { ca: ours.ca.cert },
      { ca: `${ours.ca.cert}${foreign.ca.cert}` },
      { skipTlsVerify: true },
      { ca: ours.ca.cert },
    ];
    const managers = trusts.map(open);
    for (const manager of managers) await manager.getToken();
    assert.equal(endpoint.connectionCount, 3);
  });
});
