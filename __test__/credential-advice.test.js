'use strict';

// Credentials in the forms in which users store them, end to end: the forms that work, and the
// likely cause of a refusal. The rules are in `crates/oauth/src/secret.rs` and `pem.rs`.

const assert = require('node:assert/strict');
const fs = require('node:fs');
const http = require('node:http');
const path = require('node:path');
const { after, before, describe, test } = require('node:test');
const { inspect } = require('node:util');
const { KeycloakTokenManager } = require('..');
const { listen } = require('./support/listen.js');
const { rejection } = require('./support/manager.js');
const { startVerifying } = require('./support/verifying-endpoint.js');
const { x509 } = require('./support/x509.js');

/** A hanging test must fail. */
const LIMIT_MS = 30_000;

let files;
let authority;
let server;
before(() => {
  files = x509();
  authority = files.issue();
  server = files.issue({ by: authority });
});
after(() => files?.remove());

/** A file with this content. */
function file(content) {
  const folder = fs.mkdtempSync(path.join(files.directory, 'file-'));
  fs.writeFileSync(path.join(folder, 'credential'), content);
  return path.join(folder, 'credential');
}

const BASIC = { clientAuthentication: 'client_secret_basic' };

// [what is wrong, the options, what the message says]
const REFUSED = [
  [
    'a second newline in the file',
    () => ({ clientSecretFile: file('canary\n\n') }),
    /clientSecretFile ".+" has leading or trailing whitespace/,
  ],
  [
    'a byte order mark in the file',
    () => ({ clientSecretFile: file('\ufeffcanary') }),
    /clientSecretFile ".+" begins with a byte order mark/,
  ],
  ['a space', () => ({ clientSecret: 'canary ' }), /clientSecret has leading or trailing white/],
  [
    'a newline from a function',
    () => ({ clientSecret: () => 'canary\n' }),
    /the clientSecret function has leading or trailing whitespace/,
  ],
  ['quotation marks', () => ({ clientSecret: '"canary"' }), /clientSecret is in quotation marks/],
  [
    'a placeholder',
    () => ({ clientSecret: '$'.concat('{CANARY}') }),
    /clientSecret is a placeholder/,
  ],
  ['an escaped newline', () => ({ clientSecret: 'canary\\n' }), /a backslash and an n/],
  [
    'special characters with client_secret_basic',
    () => ({ ...BASIC, clientSecret: 'canary+1' }),
    /special characters, which client_secret_basic sends encoded/,
  ],
  [
    'a secret that was stored encoded',
    () => ({ ...BASIC, clientSecret: 'canary%2B1' }),
    /contains percent-encoding/,
  ],
  [
    'an assertion with the scheme Bearer',
    () => ({ clientAssertionFile: file('Bearer canary.b.c') }),
    /clientAssertionFile ".+" is not a JWT/,
  ],
];

describe('a refused credential with', { timeout: LIMIT_MS }, () => {
  for (const [name, options, expected] of REFUSED) {
    test(`${name}: the message names the mistake and does not show the value`, async (t) => {
      const { manager } = await startVerifying(t, { believes: { secret: 'other' } }, options());
      const error = await rejection(manager.getToken(), 'ERR_KEYCLOAK_OAUTH');
      assert.match(error.message, /; likely cause: /);
      assert.match(error.message, expected);
      assert.doesNotMatch(inspect(error), /canary/i);
    });
  }

  test('no known mistake: the message names no likely cause', async (t) => {
    const options = { clientSecret: 'canary' };
    const { manager } = await startVerifying(t, { believes: { secret: 'other' } }, options);
    const error = await rejection(manager.getToken(), 'ERR_KEYCLOAK_OAUTH');
    assert.doesNotMatch(error.message, /likely cause/);
  });

  for (const status of [413, 414, 431]) {
    test(`an assertion that is too long for a gateway, status ${status}`, async (t) => {
      const gateway = http.createServer((request, response) => {
        request.resume().on('end', () => response.writeHead(status).end('too large'));
      });
      const { url } = await listen(t, gateway);
      const manager = new KeycloakTokenManager({
        tokenEndpoint: `${url}/token`,
        clientId: 'agent',
        clientAssertionFile: file(`canary.${'b'.repeat(3_000)}.c`),
      });
      t.after(() => manager.close());
      const error = await rejection(manager.getToken(), 'ERR_KEYCLOAK_HTTP');
      assert.match(error.message, /request is too large .+; likely cause: .+ longer than 2 KiB/);
    });
  }
});

const indented = (pem) => pem.replace(/^/gm, '  ');
const CLIENT = 'extendedKeyUsage=clientAuth';

// [the form, the certificate and its key]
const FORMS = [
  ['of X.509 version 1', { extensions: '' }],
  [
    'with an unknown critical extension',
    { extensions: `${CLIENT}\n1.2.3.4=critical,ASN1:NULL` },
    { isUnverified: true },
  ],
  [
    'with critical certificatePolicies',
    { extensions: `${CLIENT}\ncertificatePolicies=critical,1.2.3.4` },
  ],
  ['with a negative serial number', { extensions: CLIENT, serial: '-7' }],
  ['with an RSA key', { extensions: CLIENT, key: 'RSA 2048' }],
  ['with a P-384 key', { extensions: CLIENT, key: 'P-384' }],
  ['with an Ed25519 key', { extensions: CLIENT, key: 'Ed25519' }],
  ['in indented PEM', { extensions: CLIENT }, { map: indented }],
  [
    'in PEM with carriage returns',
    { extensions: CLIENT },
    { map: (pem) => pem.replaceAll('\n', '\r\n') },
  ],
  ['in PEM after a byte order mark', { extensions: CLIENT }, { map: (pem) => `\ufeff${pem}` }],
  [
    'in PEM between other text',
    { extensions: CLIENT },
    { map: (pem) => `Bag Attributes\n  name: x\n${pem}the end\n` },
  ],
  [
    'in PEM with its older name',
    { extensions: CLIENT },
    { map: (pem) => pem.replaceAll(' CERTIFICATE', ' X509 CERTIFICATE') },
  ],
];

describe('a client certificate', { timeout: LIMIT_MS }, () => {
  for (const [name, kind, { map = (pem) => pem, isUnverified = false } = {}] of FORMS) {
    test(`${name} works`, async (t) => {
      const { cert, key } = files.issue({ ...kind, by: authority, subject: '/CN=agent' });
      const tls = { key: server.key, cert: server.cert, ca: authority.cert, requestCert: true };
      const { manager } = await startVerifying(
        t,
        { tls: { ...tls, rejectUnauthorized: !isUnverified }, believes: { subject: 'agent' } },
        { ca: authority.cert, clientCertificate: map(cert), clientKey: map(key) },
      );
      assert.equal(await manager.getToken(), 'token-1');
    });
  }

  const escaped = (pem) => pem.replaceAll('\n', '\\n');
  for (const [name, change, expected] of [
    [
      'a certificate with literal \\n',
      ({ cert, key }) => ({ clientCertificate: escaped(cert), clientKey: key }),
      /clientCertificate: its line breaks are written as a backslash and an n/,
    ],
    [
      'a key with literal \\n',
      ({ cert, key }) => ({ clientCertificate: cert, clientKey: escaped(key) }),
      /clientKey: its line breaks are written as a backslash and an n/,
    ],
    [
      'a key in one line',
      ({ cert, key }) => ({ clientCertificate: cert, clientKey: key.replaceAll('\n', ' ') }),
      /clientKey: its line breaks are missing/,
    ],
    [
      'a certificate in quotation marks',
      ({ cert, key }) => ({ clientCertificate: `"${cert}"`, clientKey: key }),
      /clientCertificate: it is in quotation marks/,
    ],
    [
      'a `ca` with literal \\n',
      () => ({ clientSecret: 's', ca: escaped(authority.cert) }),
      /ca: its line breaks are written as a backslash and an n/,
    ],
    [
      'a private key with literal \\n',
      ({ key }) => ({ privateKey: escaped(key) }),
      /privateKey: its line breaks are written as a backslash and an n/,
    ],
    [
      'an OpenSSH key',
      () => ({
        privateKey: '-----BEGIN OPENSSH PRIVATE KEY-----\nAAAA\n-----END OPENSSH PRIVATE KEY-----',
      }),
      /privateKey: it is an OpenSSH key/,
    ],
  ]) {
    test(`or another option with PEM: the constructor refuses ${name}`, () => {
      const pair = files.issue({ by: authority, extensions: CLIENT });
      const tokenEndpoint = 'https://localhost/token';
      const options = { tokenEndpoint, clientId: 'agent', ...change(pair) };
      assert.throws(() => new KeycloakTokenManager(options), {
        code: 'ERR_KEYCLOAK_CONFIG',
        message: expected,
      });
    });
  }
});
