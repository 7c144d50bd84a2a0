'use strict';

// Servers with unusual certificates and TLS settings, each tried with Node's `https` and with a
// manager. A server that Node accepts yields a token, or an error that names the cause and
// `tokenFetch`. The manager refuses every server that Node refuses.

const assert = require('node:assert/strict');
const { execFileSync } = require('node:child_process');
const { once } = require('node:events');
const fs = require('node:fs');
const https = require('node:https');
const os = require('node:os');
const path = require('node:path');
const { after, describe, test } = require('node:test');
const tls = require('node:tls');
const undici = require('undici');
const { listen } = require('./support/listen.js');
const { openManager, rejection, tokenResponse } = require('./support/manager.js');

/** A hanging test must fail. */
const LIMIT_MS = 60_000;
const TOKEN = JSON.stringify(tokenResponse('token-1', 300));

const place = fs.mkdtempSync(path.join(os.tmpdir(), 'tls-parity-'));
after(() => fs.rmSync(place, { recursive: true, force: true }));
const read = (name) => fs.readFileSync(path.join(place, name), 'utf8');
const openssl = (...args) => execFileSync('openssl', args, { cwd: place, stdio: 'pipe' });

const P256 = ['ec', '-pkeyopt', 'ec_paramgen_curve:P-256'];
const P384 = ['ec', '-pkeyopt', 'ec_paramgen_curve:P-384'];
const P521 = ['ec', '-pkeyopt', 'ec_paramgen_curve:P-521'];
const RSA = ['rsa:2048'];
const PSS = ['rsa-pss', '-pkeyopt', 'rsa_keygen_bits:2048'];
const AUTHORITY = ['basicConstraints=critical,CA:TRUE', 'keyUsage=critical,keyCertSign'];
const NAMES = 'subjectAltName=DNS:localhost,IP:127.0.0.1';
const SERVER = ['basicConstraints=critical,CA:FALSE', NAMES];
const POLICIES = 'certificatePolicies=critical,1.3.6.1.4.1.99999.1';

let count = 0;

/**
 * A certificate and its key. Without extensions the certificate is of X.509 version 1; without an
 * issuer it is self-signed.
 */
function issue({ issuer, key = P256, digest = 'sha256', extensions = SERVER, name, days = '30' }) {
  count += 1;
  const file = `${count}`;
  const subject = name ?? `certificate ${count}`;
  fs.writeFileSync(path.join(place, 'empty.cnf'), '[req]\ndistinguished_name=names\n[names]\n');
  openssl(
    ...['req', '-new', '-config', 'empty.cnf', '-subj', `/CN=${subject}`, '-nodes'],
    ...['-newkey', ...key, '-keyout', `${file}.key`, '-out', `${file}.csr`],
  );
  fs.writeFileSync(path.join(place, `${file}.ext`), extensions.join('\n'));
  const signer = issuer?.file ?? file;
  const signing =
    issuer === undefined
      ? ['-signkey', `${file}.key`]
      : ['-CA', `${signer}.pem`, '-CAkey', `${signer}.key`, '-CAcreateserial'];
  openssl(
    ...['x509', '-req', '-in', `${file}.csr`, '-out', `${file}.pem`, `-${digest}`, '-days', days],
    ...signing,
    ...(extensions.length > 0 ? ['-extfile', `${file}.ext`] : []),
  );
  return { file, key: read(`${file}.key`), cert: read(`${file}.pem`) };
}

const root = issue({ extensions: AUTHORITY });
const other = issue({ extensions: AUTHORITY });

/** A server certificate that the root signs. */
const leaf = (options) => issue({ issuer: root, ...options });

/** A server certificate below intermediates with these options, which are sent if `isSent`. */
function chain(intermediates, { isSent = true, ...options } = {}) {
  const signers = [root];
  for (const intermediate of intermediates) {
    signers.push(issue({ issuer: signers.at(-1), extensions: AUTHORITY, ...intermediate }));
  }
  const { key, cert } = issue({ issuer: signers.at(-1), ...options });
  const sent = isSent ? signers.slice(1).reverse() : [];
  return { key, cert: [cert, ...sent.map((signer) => signer.cert)].join('') };
}

const old = { maxVersion: 'TLSv1.2' };
const HANDSHAKE = /refused the handshake: HandshakeFailure; .+P-521/;
const EXTENSION = /critical extension that this client does not support/;
const SIGNATURE = /signature that this client does not support, such as ECDSA with SHA-512/;
const VERSION = /not of X\.509 version 3/;
const NO_NAME = /no subjectAltName, so it is not valid for "localhost"/;

// [name, certificate of the server, its TLS settings, result of Node, result of a manager]
const ROWS = [
  ['a P-256 key', () => leaf({}), {}, 'token', 'token'],
  ['a P-384 key', () => leaf({ key: P384 }), {}, 'token', 'token'],
  ['an Ed25519 key', () => leaf({ key: ['ed25519'] }), {}, 'token', 'token'],
  ['an RSA key', () => leaf({ key: RSA }), {}, 'token', 'token'],
  ['a P-521 key', () => leaf({ key: P521 }), {}, 'token', HANDSHAKE],
  ['an RSA-PSS key', () => leaf({ key: PSS }), {}, 'token', HANDSHAKE],
  ['a P-256 key, ECDSA with SHA-384', () => leaf({ digest: 'sha384' }), {}, 'token', 'token'],
  ['a P-256 key, ECDSA with SHA-512', () => leaf({ digest: 'sha512' }), {}, 'token', SIGNATURE],
  ['X.509 version 1', () => leaf({ extensions: [], name: 'localhost' }), {}, 'token', VERSION],
  [
    'a common name only',
    () => leaf({ extensions: ['basicConstraints=CA:FALSE'], name: 'localhost' }),
    {},
    'token',
    NO_NAME,
  ],
  ['no basicConstraints', () => leaf({ extensions: [NAMES] }), {}, 'token', 'token'],
  [
    'an unknown critical extension',
    () => leaf({ extensions: [...SERVER, '1.2.3.4=critical,ASN1:UTF8String:x'] }),
    {},
    'refused',
    'refused',
  ],
  [
    'critical certificatePolicies',
    () => leaf({ extensions: [...SERVER, POLICIES] }),
    {},
    'token',
    EXTENSION,
  ],
  [
    'an intermediate with critical certificatePolicies',
    () => chain([{ extensions: [...AUTHORITY, POLICIES] }]),
    {},
    'token',
    EXTENSION,
  ],
  [
    'a purpose other than servers',
    () => leaf({ extensions: [...SERVER, 'extendedKeyUsage=clientAuth'] }),
    {},
    'refused',
    'refused',
  ],
  [
    'another name',
    () => leaf({ extensions: ['subjectAltName=DNS:a.example'] }),
    {},
    'refused',
    'refused',
  ],
  ['an expired certificate', () => leaf({ days: '-1' }), {}, 'refused', 'refused'],
  ['an unknown authority', () => issue({ issuer: other }), {}, 'refused', 'refused'],
  ['an intermediate with a P-521 key', () => chain([{ key: P521 }]), {}, 'token', SIGNATURE],
  ['an intermediate with an RSA-PSS key', () => chain([{ key: PSS }]), {}, 'token', SIGNATURE],
  ['an intermediate with a P-384 key', () => chain([{ key: P384 }]), {}, 'token', 'token'],
  ['an intermediate', () => chain([{}]), {}, 'token', 'token'],
  [
    'an intermediate that it does not send',
    () => chain([{}], { isSent: false }),
    {},
    'refused',
    'refused',
  ],
  ['an expired intermediate', () => chain([{ days: '-1' }]), {}, 'refused', 'refused'],
  ['a chain of six', () => chain([{}, {}, {}, {}]), {}, 'token', 'token'],
  [
    'a name that its authority may issue',
    () =>
      chain([{ extensions: [...AUTHORITY, 'nameConstraints=critical,permitted;DNS:localhost'] }], {
        extensions: ['subjectAltName=DNS:localhost'],
      }),
    {},
    'token',
    'token',
  ],
  [
    'a name that its authority may not issue',
    () =>
      chain([{ extensions: [...AUTHORITY, 'nameConstraints=critical,excluded;DNS:localhost'] }]),
    {},
    'refused',
    'refused',
  ],
  ['TLS 1.2 only', () => leaf({}), old, 'token', 'token'],
  [
    'TLS 1.1 only',
    () => leaf({}),
    { minVersion: 'TLSv1.1', maxVersion: 'TLSv1.1', ciphers: 'ALL:@SECLEVEL=0' },
    'refused',
    'refused',
  ],
  [
    'no session tickets',
    () => leaf({}),
    { secureOptions: require('node:constants').SSL_OP_NO_TICKET },
    'token',
    'token',
  ],
  [
    'RSA key exchange only',
    () => leaf({ key: RSA }),
    { ...old, ciphers: 'AES128-GCM-SHA256' },
    'token',
    HANDSHAKE,
  ],
  [
    'CBC cipher suites only',
    () => leaf({}),
    { ...old, ciphers: 'ECDHE-ECDSA-AES128-SHA' },
    'token',
    HANDSHAKE,
  ],
];

/** What Node's `https` does. */
async function askNode(url, ca) {
  const request = https.request(url, { ca, agent: false, method: 'POST' });
  request.end('grant_type=client_credentials');
  try {
    const [response] = await once(request, 'response');
    response.resume();
    await once(response, 'end');
    return 'token';
  } catch {
    return 'refused';
  }
}

describe('a server with', { timeout: LIMIT_MS, concurrency: 4 }, () => {
  for (const [name, make, settings, byNode, expected] of ROWS) {
    test(name, async (t) => {
      const { key, cert } = make();
      const server = https.createServer({ key, cert, ...settings }, (request, response) => {
        request.resume().on('end', () => {
          response.setHeader('Content-Type', 'application/json').end(TOKEN);
        });
      });
      const { port } = await listen(t, server);
      const tokenEndpoint = `https://localhost:${port}/token`;
      assert.equal(await askNode(tokenEndpoint, root.cert), byNode, 'Node');
      const manager = openManager(t, { tokenEndpoint, ca: root.cert });
      if (expected === 'token') {
        assert.equal(await manager.getToken(), 'token-1');
        return;
      }
      const { message } = await rejection(manager.getToken(), 'ERR_KEYCLOAK_TLS');
      if (expected === 'refused') return;
      assert.match(message, expected);
      assert.match(message, /set tokenFetch: true/);
      const dispatcher = new undici.Agent({ connect: { ca: root.cert } });
      t.after(() => dispatcher.close());
      const tokenFetch = (url, init) => undici.fetch(url, { ...init, dispatcher });
      assert.equal(await openManager(t, { tokenEndpoint, tokenFetch }).getToken(), 'token-1');
    });
  }
});

describe('a response that ends without close_notify', { timeout: LIMIT_MS }, () => {
  const certificate = leaf({});
  const WHOLE = { status: '200 OK', fields: [], body: TOKEN };
  const OAUTH = '{"error":"invalid_client"}';
  // [name, the response, the code of the error; without one, a token]
  for (const [name, response, code] of [
    ['is accepted if it has no length and its JSON object is complete', {}],
    ['is refused if its JSON object is incomplete', { body: TOKEN.slice(0, -1) }, 'NETWORK'],
    ['is refused if it is empty', { body: '' }, 'NETWORK'],
    ['is refused if it is too short', { fields: ['Content-Length: 999'] }, 'NETWORK'],
    [
      'is refused if a chunk is incomplete',
      { fields: ['Transfer-Encoding: chunked'], body: `fff\r\n${TOKEN}` },
      'NETWORK',
    ],
    [
      'is an OAuth error if its JSON object is complete',
      { status: '400 Bad', body: OAUTH },
      'OAUTH',
    ],
    [
      'is refused if the JSON object of an error is incomplete',
      { status: '400 Bad', body: OAUTH.slice(0, -1) },
      'NETWORK',
    ],
    ['is an HTTP error by its status', { status: '401 No', body: '<html>' }, 'HTTP'],
    ['is a redirect by its status', { status: '302 Found', body: '' }, 'PROTOCOL'],
  ]) {
    test(name, async (t) => {
      const { status, fields, body } = { ...WHOLE, ...response };
      const head = [`HTTP/1.1 ${status}`, 'Content-Type: application/json', ...fields];
      const server = tls.createServer({ key: certificate.key, cert: certificate.cert });
      const { port, sockets } = await listen(t, server);
      server.on('secureConnection', (socket) => {
        socket.on('error', () => {});
        socket.once('data', () => {
          socket.write(`${head.join('\r\n')}\r\n\r\n${body}`, () => {
            // Ends the connection below TLS.
            for (const raw of sockets) raw.end();
          });
        });
      });
      const tokenEndpoint = `https://localhost:${port}/token`;
      const manager = openManager(t, { tokenEndpoint, ca: root.cert, requestTimeoutMs: 2_000 });
      if (code === undefined) assert.equal(await manager.getToken(), 'token-1');
      else await rejection(manager.getToken(), `ERR_KEYCLOAK_${code}`);
    });
  }
});

test('a server that asks for a certificate by renegotiation', { timeout: LIMIT_MS }, async (t) => {
  const server = tls.createServer({ ...leaf({}), maxVersion: 'TLSv1.2' }, (socket) => {
    socket.on('error', () => {});
    socket.once('data', () => {
      socket.renegotiate({ requestCert: true, rejectUnauthorized: false }, (error) => {
        if (error === null) socket.end(`HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n${TOKEN}`);
      });
    });
  });
  const { port } = await listen(t, server);
  const tokenEndpoint = `https://localhost:${port}/token`;
  assert.equal(await askNode(tokenEndpoint, root.cert), 'token', 'Node');
  const manager = openManager(t, { tokenEndpoint, ca: root.cert });
  const { message } = await rejection(manager.getToken(), 'ERR_KEYCLOAK_TLS');
  assert.match(message, /renegotiation, .+ set tokenFetch: true/);
});

test('a response with 990 additional headers is read', { timeout: LIMIT_MS }, async (t) => {
  const certificate = leaf({});
  const server = https.createServer(certificate, (request, response) => {
    request.resume().on('end', () => {
      for (let index = 0; index < 990; index += 1) response.setHeader(`x-${index}`, '1');
      response.end(TOKEN);
    });
  });
  const { port } = await listen(t, server);
  const tokenEndpoint = `https://localhost:${port}/token`;
  assert.equal(await openManager(t, { tokenEndpoint, ca: root.cert }).getToken(), 'token-1');
});
