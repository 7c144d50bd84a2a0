'use strict';

// Network conditions: names with several or changed addresses, peers that disappear silently, and
// resumed TLS sessions.

const assert = require('node:assert/strict');
const { spawn } = require('node:child_process');
const { once } = require('node:events');
const fs = require('node:fs');
const { describe, test } = require('node:test');
const { run } = require('./programs');
const { makeCertificates } = require('../tools/certificates.js');
const { startApi } = require('./support/api-server.js');
const { makeFile } = require('./support/files.js');
const { withHosts } = require('./support/hosts-file.js');
const { openManager, tokenJson } = require('./support/manager.js');

/** A hanging test must fail. */
const LIMIT_MS = 30_000;
const NAME = 'sso.names.invalid';

/**
 * A server that answers one request on each connection. After that, a socket filter drops all
 * packets of the connection, as if the machine had disappeared.
 */
const SILENT_AFTER_AN_ANSWER = `
import ctypes, socket, struct, sys
SO_ATTACH_FILTER = 26
body = sys.argv[1].encode()
listener = socket.create_server(('127.0.0.1', 0))
print(listener.getsockname()[1], flush=True)
drop = ctypes.create_string_buffer(struct.pack('HBBI', 6, 0, 0, 0))
kept = []
while True:
    connection, _ = listener.accept()
    kept.append(connection)
    request = b''
    while b'client_credentials' not in request:
        request += connection.recv(4096)
    head = b'HTTP/1.1 200 OK\\r\\nContent-Type: application/json\\r\\nContent-Length: %d\\r\\n\\r\\n'
    connection.sendall(head % len(body) + body)
    # The loop waits until the client has acknowledged the answer.
    while struct.unpack('I', connection.getsockopt(socket.IPPROTO_TCP, 11, 28)[24:28])[0] > 0:
        pass
    program = struct.pack('HL', 1, ctypes.addressof(drop))
    connection.setsockopt(socket.SOL_SOCKET, SO_ATTACH_FILTER, program)
`;

/** Starts a server that answers with the token of this name. */
const serve = (t, name, settings) => startApi(t, () => tokenJson(name), settings);

function hostsFile(t, addresses) {
  const file = makeFile(t, '');
  const write = (list) => {
    fs.writeFileSync(file, list.map((address) => `${address} ${NAME}\n`).join(''));
  };
  write(addresses);
  return { file, write };
}

describe('the transport', { timeout: LIMIT_MS }, () => {
  const named = (t, port, rounds, started) =>
    run(t, 'names.js', [`http://${NAME}:${port}/token`, rounds], started);

  for (const [only, ...addresses] of [
    ['127.0.0.1', '::1', '127.0.0.1'],
    ['::1', '127.0.0.1', '::1'],
  ]) {
    test(`reaches a name with the addresses ${addresses.join(' and ')} at the second address`, async (t) => {
      const started = withHosts(t, hostsFile(t, addresses).file);
      if (started === undefined) return;
      const { port } = await serve(t, 'a-token', { host: only });
      assert.deepEqual(await named(t, port, 1, started).result(), { token: 'a-token' });
    });
  }

  test('looks up a name again when its server is gone', async (t) => {
    const { file, write } = hostsFile(t, ['127.0.0.1']);
    const started = withHosts(t, file);
    if (started === undefined) return;
    const former = await serve(t, 'former-token');
    const { port } = former;
    await serve(t, 'latter-token', { host: '::1', port });
    const program = named(t, port, 2, started);
    assert.deepEqual(await program.next(), { token: 'former-token' });
    write(['::1']);
    former.stop();
    program.goOn();
    assert.deepEqual(await program.next(), { token: 'latter-token' });
  });

  test('looks up a name again after a failed look-up', async (t) => {
    const { file, write } = hostsFile(t, []);
    const started = withHosts(t, file);
    if (started === undefined) return;
    const { port } = await serve(t, 'a-token');
    const program = named(t, port, 2, started);
    const { code, message } = await program.next();
    assert.equal(code, 'ERR_KEYCLOAK_NETWORK');
    assert.match(message, /could not resolve the host name/);
    write(['127.0.0.1']);
    program.goOn();
    assert.deepEqual(await program.next(), { token: 'a-token' });
  });
});

test('the URL of an endpoint may contain an IPv6 address', async (t) => {
  const { port } = await serve(t, 'a-token', { host: '::1' });
  const manager = openManager(t, { tokenEndpoint: `http://[::1]:${port}/token` });
  assert.equal(await manager.getToken(), 'a-token');
});

describe('a connection', { timeout: LIMIT_MS }, () => {
  // Only Linux lets a program drop packets with a socket filter. CI runs on Linux.
  const skip = process.platform === 'linux' ? false : 'needs the socket filters of Linux';
  test('ends if its peer acknowledges nothing, and its replacement does not count as a retry', {
    skip,
  }, async (t) => {
    const body = tokenJson('a-token');
    const peer = spawn('python3', ['-c', SILENT_AFTER_AN_ANSWER, body]);
    t.after(() => peer.kill('SIGKILL'));
    let complaint = '';
    peer.stderr.on('data', (text) => {
      complaint += text;
    });
    const [port] = await once(peer.stdout, 'data');
    const manager = openManager(t, { tokenEndpoint: `http://127.0.0.1:${Number(port)}/token` });
    await manager.getToken();
    const start = performance.now();
    assert.equal(await manager.getToken({ forceRefresh: true }), 'a-token', complaint);
    const took = performance.now() - start;
    assert.ok(took > 1_000 && took < 9_000, `${took} ms`);
    assert.equal(manager.snapshot().counters.retries, 0);
  });
});

describe('the next connection', { timeout: LIMIT_MS }, () => {
  const certificates = makeCertificates();

  const { server: own, ca, client } = certificates;
  const { cert, key } = client('agent');
  const withClient = { clientSecret: undefined, clientCertificate: cert, clientKey: key };
  const asks = { ca: ca.cert, requestCert: true, rejectUnauthorized: true };

  for (const [name, version, settings, options] of [
    ['of TLS 1.2', 'TLSv1.2', {}, {}],
    ['of TLS 1.3', 'TLSv1.3', {}, {}],
    ['with a client certificate', 'TLSv1.3', asks, withClient],
  ]) {
    test(`resumes the TLS session ${name}`, async (t) => {
      const tls = { ...own, minVersion: version, maxVersion: version, ...settings };
      const { server, url, sockets } = await serve(t, 'a-token', { tls });
      const seen = [];
      server.on('secureConnection', (socket) => seen.push(socket.isSessionReused()));
      const manager = openManager(t, { tokenEndpoint: url, ca: ca.cert, ...options });
      for (const forceRefresh of [false, true, true]) {
        for (const socket of sockets) socket.destroy();
        await manager.getToken({ forceRefresh });
      }
      assert.deepEqual(seen, [false, true, true]);
    });
  }
});
