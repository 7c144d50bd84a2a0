'use strict';

// Credentials in the forms in which users store them, end to end: the accepted forms, and the
// likely cause that the error names after a refusal. The rules are in `crates/oauth/src/secret.rs`
// and `pem.rs`.

const assert = require('node:assert/strict');
const fs = require('node:fs');
const path = require('node:path');
const { describe, test } = require('node:test');
const { inspect } = require('node:util');
const { KeycloakTokenManager } = require('..');
const { makeCertificates } = require('../tools/certificates.js');
const { startApi } = require('./support/api-server.js');
const { openManager, rejection } = require('./support/manager.js');
const { startVerifying } = require('./support/verifying-endpoint.js');

/** A hanging test must fail. */
const LIMIT_MS = 30_000;

const { directory, ca, server, client, issue } = makeCertificates();

/** Writes a file with this content. */
function file(content) {
  const folder = fs.mkdtempSync(path.join(directory, 'file-'));
  fs.writeFileSync(path.join(folder, 'credential'), content);
  return path.join(folder, 'credential');
}

const basic = (clientSecret) => ({ clientAuthentication: 'client_secret_basic', clientSecret });
const secretFile = (content) => ({ clientSecretFile: file(content) });
const assertion = (content) => ({ clientAssertionFile: file(content) });
const placeholder = '$'.concat('{CANARY}');

// [the mistake, the options, the expected message]
const REFUSED = [
  ['a second newline', secretFile('canary\n\n'), /clientSecretFile ".+" has leading or trailing/],
  [
    'a byte order mark',
    secretFile('\ufeffcanary'),
    /clientSecretFile ".+" begins with a byte order/,
  ],
  ['a space', { clientSecret: 'canary ' }, /clientSecret has leading or trailing whitespace/],
  [
    'a newline from a function',
    { clientSecret: () => 'canary\n' },
    /function has leading or trailing/,
  ],
  ['quotation marks', { clientSecret: '"canary"' }, /clientSecret is in quotation marks/],
  ['a placeholder', { clientSecret: placeholder }, /clientSecret is a placeholder/],
  ['an escaped newline', { clientSecret: 'canary\\n' }, /a backslash and an n/],
  ['special characters', basic('canary+1'), /special characters, which client_secret_basic sends/],
  ['an encoded secret', basic('canary%2B1'), /contains percent-encoding/],
  ['the scheme Bearer', assertion('Bearer canary.b.c'), /clientAssertionFile ".+" is not a JWT/],
  ['no known mistake', { clientSecret: 'canary' }, undefined],
];

describe('a refused credential with', { timeout: LIMIT_MS }, () => {
  for (const [name, options, cause] of REFUSED) {
    test(`${name}: the message names a known mistake and does not show the value`, async (t) => {
      const { manager } = await startVerifying(t, { believes: { secret: 'other' } }, options);
      const error = await rejection(manager.getToken(), 'ERR_KEYCLOAK_OAUTH');
      assert.equal(error.message.includes('; likely cause: '), cause !== undefined, error.message);
      assert.match(error.message, cause ?? /./);
      assert.doesNotMatch(inspect(error), /canary/i);
    });
  }

  for (const status of [413, 414, 431]) {
    test(`status ${status} from a gateway: the message names an assertion that is too long`, async (t) => {
      const { url } = await startApi(t, () => [status, {}, 'too large']);
      const options = assertion(`canary.${'b'.repeat(3_000)}.c`);
      const manager = openManager(t, { tokenEndpoint: url, clientSecret: undefined, ...options });
      const error = await rejection(manager.getToken(), 'ERR_KEYCLOAK_HTTP');
      assert.match(error.message, /request is too large .+; likely cause: .+ longer than 2 KiB/);
    });
  }
});

const CLIENT = 'extendedKeyUsage=clientAuth';
const with509 = (pem) => pem.replaceAll(' CERTIFICATE', ' X509 CERTIFICATE');

// [the form, options of the certificate and its key, a function that changes their PEM text]
const FORMS = [
  ['of X.509 version 1', { extensions: '' }],
  ['with an unknown critical extension', { extensions: `${CLIENT}\n1.2.3.4=critical,ASN1:NULL` }],
  ['with critical policies', { extensions: `${CLIENT}\ncertificatePolicies=critical,1.2.3.4` }],
  ['with a negative serial number', { serial: '-7' }],
  ['with an RSA key', { key: 'RSA 2048' }],
  ['with a P-384 key', { key: 'P-384' }],
  ['with an Ed25519 key', { key: 'Ed25519' }],
  ['in indented PEM', {}, (pem) => pem.replace(/^/gm, '  ')],
  ['in PEM with carriage returns', {}, (pem) => pem.replaceAll('\n', '\r\n')],
  ['in PEM after a byte order mark', {}, (pem) => `\ufeff${pem}`],
  ['in PEM between other text', {}, (pem) => `Bag Attributes\n  name: x\n${pem}the end\n`],
  ['in PEM with the older label', {}, with509],
];

const oneLine = (pem) => pem.replaceAll('\n', ' ');
const escaped = (pem) => pem.replaceAll('\n', '\\n');
const { cert, key } = client('agent');
const openssh = '-----BEGIN OPENSSH PRIVATE KEY-----\nAAAA\n-----END OPENSSH PRIVATE KEY-----';

describe('the manager', { timeout: LIMIT_MS }, () => {
  for (const [name, kind, change = (pem) => pem] of FORMS) {
    test(`authenticates with a client certificate ${name}`, async (t) => {
      const one = issue({ extensions: CLIENT, ...kind, by: ca, subject: '/CN=agent' });
      // Node refuses certificates with unknown critical extensions.
      const rejectUnauthorized = !name.includes('unknown');
      const { manager } = await startVerifying(
        t,
        {
          tls: { ...server, ca: ca.cert, requestCert: true, rejectUnauthorized },
          believes: { subject: 'agent' },
        },
        { ca: ca.cert, clientCertificate: change(one.cert), clientKey: change(one.key) },
      );
      assert.equal(await manager.getToken(), 'token-1');
    });
  }

  const pair = { clientCertificate: cert, clientKey: key };
  for (const [name, options, expected] of [
    ['a certificate with \\n', { ...pair, clientCertificate: escaped(cert) }, /Cert.+ and an n/],
    ['a key with \\n', { ...pair, clientKey: escaped(key) }, /clientKey: .+ a backslash and an n/],
    ['a key on one line', { ...pair, clientKey: oneLine(key) }, /clientKey: .+ are missing/],
    ['a certificate in quotes', { ...pair, clientCertificate: `"${cert}"` }, /in quotation marks/],
    ['a `ca` with \\n', { clientSecret: 's', ca: escaped(ca.cert) }, /ca: .+ a backslash and an n/],
    ['a private key with \\n', { privateKey: escaped(key) }, /privateKey: .+ a backslash and an n/],
    ['an OpenSSH key', { privateKey: openssh }, /privateKey: it is an OpenSSH key/],
  ]) {
    test(`refuses ${name} in its constructor`, () => {
      const place = { tokenEndpoint: 'https://localhost/token', clientId: 'agent' };
      const refused = { code: 'ERR_KEYCLOAK_CONFIG', message: expected };
      assert.throws(() => new KeycloakTokenManager({ ...place, ...options }), refused);
    });
  }
});
