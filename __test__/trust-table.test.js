'use strict';

// Every source of trust, believed and not: we must think of a server's certificate what Node thinks
// of it in the same process.

const assert = require('node:assert/strict');
const { execFileSync } = require('node:child_process');
const fs = require('node:fs');
const path = require('node:path');
const { after, before, describe, test } = require('node:test');
const { startFakeTokenEndpoint } = require('../lib/testing');
const { run } = require('./programs');
const { makeCertificates } = require('./support/certificates.js');
const { otherNode } = require('./support/other-node.js');

const OPENSSL = ['--use-openssl-ca'];
const SYSTEM = ['--use-system-ca'];
/** Not even the machine's own settings count. */
const CLEAN = {
  NODE_EXTRA_CA_CERTS: '',
  NODE_TLS_REJECT_UNAUTHORIZED: '',
  NODE_OPTIONS: '',
  SSL_CERT_FILE: undefined,
  SSL_CERT_DIR: undefined,
};

/** The server's own authority, and another. */
let known;
let other;
/** A self-signed server certificate. */
let alone;

before(() => {
  known = makeCertificates();
  other = makeCertificates();
  alone = known.selfSigned('alone');
});
after(() => {
  known?.remove();
  other?.remove();
});

/** A folder as OpenSSL wants it: certificates by the hash of their subject. */
function hashed({ certFile }) {
  const folder = fs.mkdtempSync(path.join(known.directory, 'hashed-'));
  const args = ['x509', '-hash', '-noout', '-in', certFile];
  const hash = execFileSync('openssl', args, { encoding: 'utf8' }).trim();
  fs.copyFileSync(certFile, path.join(folder, `${hash}.0`));
  return folder;
}

/** A folder with the same certificate by another name, which is not looked at. */
function unhashed({ certFile }) {
  const folder = fs.mkdtempSync(path.join(known.directory, 'unhashed-'));
  fs.copyFileSync(certFile, path.join(folder, 'ca.pem'));
  return folder;
}

// What each row sets, for an authority that is the server's or not.
const SOURCES = [
  ['NODE_EXTRA_CA_CERTS', (ca) => ({ env: { NODE_EXTRA_CA_CERTS: ca.certFile } })],
  ['`ca`', (ca) => ({ options: { ca: ca.cert } })],
  [
    'SSL_CERT_FILE with --use-openssl-ca',
    (ca) => ({ execArgv: OPENSSL, env: { SSL_CERT_FILE: ca.certFile } }),
  ],
  [
    'SSL_CERT_FILE with --use-openssl-ca in NODE_OPTIONS',
    (ca) => ({ env: { SSL_CERT_FILE: ca.certFile, NODE_OPTIONS: OPENSSL[0] } }),
  ],
  [
    'SSL_CERT_DIR with --use-openssl-ca',
    (ca) => ({ execArgv: OPENSSL, env: { SSL_CERT_DIR: hashed(ca) } }),
  ],
  [
    'the second folder of SSL_CERT_DIR',
    (ca) => ({ execArgv: OPENSSL, env: { SSL_CERT_DIR: `/nowhere:${hashed(ca)}` } }),
  ],
  [
    'NODE_EXTRA_CA_CERTS with --use-openssl-ca',
    (ca) => ({ execArgv: OPENSSL, env: { NODE_EXTRA_CA_CERTS: ca.certFile } }),
  ],
  [
    'SSL_CERT_FILE with --use-system-ca',
    (ca) => ({ execArgv: SYSTEM, env: { SSL_CERT_FILE: ca.certFile }, major: 24 }),
  ],
  [
    'SSL_CERT_DIR with --use-system-ca',
    (ca) => ({ execArgv: SYSTEM, env: { SSL_CERT_DIR: hashed(ca) }, major: 24 }),
  ],
];

// Rows of their own.
const ROWS = [
  ['nothing', false, () => ({})],
  ['SSL_CERT_FILE alone', false, () => ({ env: { SSL_CERT_FILE: known.ca.certFile } })],
  ['SSL_CERT_DIR alone', false, () => ({ env: { SSL_CERT_DIR: hashed(known.ca) } })],
  [
    'SSL_CERT_DIR with another name',
    false,
    () => ({ execArgv: OPENSSL, env: { SSL_CERT_DIR: unhashed(known.ca) } }),
  ],
  ['NODE_TLS_REJECT_UNAUTHORIZED=0', true, () => ({ env: { NODE_TLS_REJECT_UNAUTHORIZED: '0' } })],
  ['NODE_TLS_REJECT_UNAUTHORIZED=1', false, () => ({ env: { NODE_TLS_REJECT_UNAUTHORIZED: '1' } })],
  [
    'a certificate that nobody signed, named',
    true,
    () => ({ server: alone, env: { NODE_EXTRA_CA_CERTS: alone.certFile } }),
  ],
  [
    'a certificate that nobody signed, in the store of OpenSSL',
    true,
    () => ({ server: alone, execArgv: OPENSSL, env: { SSL_CERT_FILE: alone.certFile } }),
  ],
  ['a certificate that nobody signed, not named', false, () => ({ server: alone })],
];

const TABLE = [
  ...ROWS,
  ...SOURCES.map(([name, source]) => [name, true, () => source(known.ca)]),
  ...SOURCES.map(([name, source]) => [`${name}, another authority`, false, () => source(other.ca)]),
];

describe('trust', { concurrency: 2 }, () => {
  for (const [name, isTrusted, row] of TABLE) {
    test(`${name}: ${isTrusted ? 'trusted' : 'not trusted'}, as by Node`, async (t) => {
      const { server = known.server, options = {}, execArgv, env, major } = row();
      let binary;
      if (major !== undefined) {
        binary = await otherNode(t, major);
        if (binary === undefined) return;
      }
      const { key, cert } = server;
      const endpoint = await startFakeTokenEndpoint({ tls: { key, cert } });
      t.after(() => endpoint.close());
      const args = [endpoint.tokenEndpoint, JSON.stringify(options)];
      const settings = { execArgv, env: { ...CLEAN, ...env }, binary };
      const verdict = await run(t, 'verdicts.js', args, settings).result();
      assert.equal(verdict.node === true, isTrusted, `Node: ${verdict.node}`);
      assert.equal(verdict.ours, isTrusted ? true : 'ERR_KEYCLOAK_TLS');
    });
  }
});
