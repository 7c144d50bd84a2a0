'use strict';

// What the replaced class lacks between it and the server, and what came of that.

const assert = require('node:assert/strict');
const { once } = require('node:events');
const http = require('node:http');
const net = require('node:net');
const { after, before, describe, test } = require('node:test');
const { makeCertificates } = require('./support/certificates.js');
const { augment, failure, open, ours, recorder } = require('./support/defects.js');
const { startVerifyingEndpoint } = require('./support/verifying-endpoint.js');

const SECRET = 'canary-5e1f0c77';
const LOCAL = '127.0.0.1';

describe('the augment class and ours on the way to the server', { timeout: 30_000 }, () => {
  let certificates;
  before(() => {
    certificates = makeCertificates();
  });
  after(() => certificates?.remove());

  /** An endpoint whose certificate a private authority signed, for the right name or another. */
  function openPrivate(t, { key, cert } = certificates.server) {
    return open(t, undefined, { tls: { key, cert } });
  }

  test('RA-16: a private authority is trusted without trusting everybody', async (t) => {
    const right = await openPrivate(t);
    const foreign = await openPrivate(t, certificates.wrongName);
    const ca = certificates.ca.cert;

    const refused = await failure(augment(t, right, { ca }).getToken());
    assert.equal(
      refused.code,
      'UNABLE_TO_VERIFY_LEAF_SIGNATURE',
      'it knows no authority but Node’s',
    );
    const trusting = augment(t, foreign, { ca, skipTlsVerify: true });
    assert.equal(typeof (await trusting.getToken()), 'string', 'what is left trusts anybody');
    assert.equal(foreign.requestCount, 1, 'which got the secret');

    assert.equal(typeof (await ours(t, right, { ca }).getToken()), 'string');
    const error = await failure(ours(t, foreign, { ca }).getToken());
    assert.equal(error.code, 'ERR_KEYCLOAK_TLS');
    assert.equal(foreign.requestCount, 1);
  });

  test('RA-16: a client can show a certificate', async (t) => {
    const { server, ca } = certificates;
    const endpoint = await startVerifyingEndpoint({
      tls: {
        key: server.key,
        cert: server.cert,
        ca: ca.cert,
        requestCert: true,
        rejectUnauthorized: false,
      },
      believes: { subject: 'agent' },
    });
    t.after(() => endpoint.close());
    const { cert, key } = certificates.client('agent');
    const shown = { clientId: 'agent', ca: ca.cert, clientCertificate: cert, clientKey: key };

    const error = await failure(augment(t, endpoint, shown).getToken());
    assert.equal(error.code, 'SELF_SIGNED_CERT_IN_CHAIN');
    const blind = augment(t, endpoint, { ...shown, skipTlsVerify: true });
    assert.match((await failure(blind.getToken())).message, /status 401/);
    assert.equal(endpoint.requests.at(-1).subject, undefined, 'none was shown');

    const manager = ours(t, endpoint, { ...shown, clientSecret: undefined });
    assert.equal(typeof (await manager.getToken()), 'string');
    assert.equal(endpoint.requests.at(-1).subject, 'agent');
  });

  test('RA-16: a proxy is gone through', async (t) => {
    const endpoint = await openPrivate(t);
    const tunnels = [];
    const server = http.createServer().on('connect', ({ url }, socket) => {
      tunnels.push(url);
      const onward = net.connect(new URL(`http://${url}`).port, LOCAL, () => {
        socket.write('HTTP/1.1 200 OK\r\n\r\n');
        onward.pipe(socket).pipe(onward);
      });
      for (const each of [socket, onward]) each.on('error', () => {});
      t.after(() => onward.destroy());
    });
    const proxy = await listen(t, server);

    const plain = augment(t, endpoint, { proxy, skipTlsVerify: true });
    assert.equal(typeof (await plain.getToken()), 'string');
    assert.deepEqual(tunnels, [], 'it went straight there');

    const manager = ours(t, endpoint, { proxy, ca: certificates.ca.cert });
    assert.equal(typeof (await manager.getToken()), 'string');
    assert.deepEqual(tunnels, [new URL(endpoint.url).host]);
  });

  test('RA-16: a secret that goes over a network in clear is warned about', async (t) => {
    const bodies = [];
    const server = http.createServer(async (request, response) => {
      let body = '';
      for await (const chunk of request) body += chunk;
      bodies.push(body);
      response.setHeader('Content-Type', 'application/json');
      response.end(JSON.stringify({ access_token: 'a-token', expires_in: 300 }));
    });
    const url = await listen(t, server);
    const { port } = new URL(url);
    const far = { tokenEndpoint: `http://sso.example.invalid:${port}/token`, clientSecret: SECRET };

    const log = recorder();
    // A name that leads here, so that nothing leaves this machine.
    const lookup = (_name, options, give) =>
      options.all ? give(null, [{ address: LOCAL, family: 4 }]) : give(null, LOCAL, 4);
    const agent = new http.Agent({ lookup });
    t.after(() => agent.destroy());
    await augment(t, undefined, { ...far, agent, logger: log }).getToken();
    assert.ok(bodies[0].includes(SECRET), 'in clear');
    assert.deepEqual([...log.at('warn'), ...log.at('error')], []);

    const ourLog = recorder();
    const manager = ours(t, undefined, { ...far, proxy: url, logger: ourLog });
    await manager.getToken();
    await ourLog.written('warn');
    await manager.getToken({ forceRefresh: true });
    assert.equal(bodies.length, 3);
    assert.equal(ourLog.at('warn').length, 1);
    assert.match(ourLog.at('warn')[0], /http/);
    assert.ok(!ourLog.at('warn')[0].includes(SECRET));
  });
});

/** Starts a server that the test stops; gives its URL. */
async function listen(t, server) {
  server.listen(0, LOCAL);
  await once(server, 'listening');
  t.after(() => {
    server.closeAllConnections();
    server.close();
  });
  return `http://${LOCAL}:${server.address().port}`;
}
