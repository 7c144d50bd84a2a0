'use strict';

// Every source of trust, with the server's authority and with another authority. The manager must
// accept or refuse the server's certificate as Node does in the same process.

const assert = require('node:assert/strict');
const { execFileSync } = require('node:child_process');
const fs = require('node:fs');
const os = require('node:os');
const path = require('node:path');
const { after, describe, test } = require('node:test');
const { run } = require('./programs');
const { LEAF, makeCertificates } = require('../tools/certificates.js');
const { startEndpoint } = require('./support/manager.js');
const { otherNode } = require('./support/other-node.js');

/** Values that remove this machine's settings from the environment. */
const CLEAN = {
  NODE_EXTRA_CA_CERTS: '',
  NODE_TLS_REJECT_UNAUTHORIZED: '',
  NODE_OPTIONS: '',
  SSL_CERT_FILE: undefined,
  SSL_CERT_DIR: undefined,
};

/** The server's own authority, and another authority. */
const known = makeCertificates();
const other = makeCertificates();
/** A self-signed server certificate. */
const alone = known.issue({ extensions: `${LEAF}\nbasicConstraints=critical,CA:TRUE` });
/** A copy of the authority's certificate that every user can read. */
const readable = path.join(os.tmpdir(), `authority-${process.pid}.pem`);

fs.writeFileSync(readable, known.ca.cert, { mode: 0o644 });
after(() => fs.rmSync(readable));

/** A folder in OpenSSL's form, which names certificates by the hash of their subject. */
function hashed({ certFile }, name) {
  const folder = fs.mkdtempSync(path.join(known.directory, 'hashed-'));
  const args = ['x509', '-hash', '-noout', '-in', certFile];
  const hash = execFileSync('openssl', args, { encoding: 'utf8' }).trim();
  fs.copyFileSync(certFile, path.join(folder, name ?? `${hash}.0`));
  return folder;
}

const extra = (ca) => ({ env: { NODE_EXTRA_CA_CERTS: ca.certFile } });
const file = (ca) => ({ env: { SSL_CERT_FILE: ca.certFile } });
const folder = (ca) => ({ env: { SSL_CERT_DIR: hashed(ca) } });
const withOpenssl = { execArgv: ['--use-openssl-ca'] };
const withSystem = { execArgv: ['--use-system-ca'], major: 24 };

// Each row sets a source of trust to the given authority.
const SOURCES = [
  ['NODE_EXTRA_CA_CERTS', extra],
  ['`ca`', (ca) => ({ options: { ca: ca.cert } })],
  ['SSL_CERT_FILE with --use-openssl-ca', (ca) => ({ ...withOpenssl, ...file(ca) })],
  [
    'SSL_CERT_FILE with --use-openssl-ca in NODE_OPTIONS',
    (ca) => ({ env: { ...file(ca).env, NODE_OPTIONS: '--use-openssl-ca' } }),
  ],
  [
    'SSL_CERT_FILE with a quoted --use-openssl-ca in NODE_OPTIONS',
    (ca) => ({ env: { ...file(ca).env, NODE_OPTIONS: '--no-deprecation "--use-openssl-\\ca"' } }),
  ],
  [
    'SSL_CERT_FILE with --use_openssl_ca',
    (ca) => ({ execArgv: ['--use_openssl_ca'], ...file(ca) }),
  ],
  ['SSL_CERT_DIR with --use-openssl-ca', (ca) => ({ ...withOpenssl, ...folder(ca) })],
  [
    'the second folder of SSL_CERT_DIR',
    (ca) => ({ ...withOpenssl, env: { SSL_CERT_DIR: `/nowhere:${hashed(ca)}` } }),
  ],
  ['NODE_EXTRA_CA_CERTS with --use-openssl-ca', (ca) => ({ ...withOpenssl, ...extra(ca) })],
  ['SSL_CERT_FILE with --use-system-ca', (ca) => ({ ...withSystem, ...file(ca) })],
  ['SSL_CERT_DIR with --use-system-ca', (ca) => ({ ...withSystem, ...folder(ca) })],
];

// The values for the rows that do not use both authorities.
const byAlone = { ...extra(alone), server: alone };
const asOther = { env: { NODE_EXTRA_CA_CERTS: readable }, change: { user: 65534 } };
const removed = path.join(known.directory, 'removed.pem');
fs.writeFileSync(removed, known.ca.cert);
const relative = path.relative(process.cwd(), readable);
const fromElsewhere = { env: { NODE_EXTRA_CA_CERTS: relative }, change: { folder: '/' } };
const byOtherName = { ...withOpenssl, env: { SSL_CERT_DIR: hashed(known.ca, 'ca.pem') } };
const inStore = { ...withOpenssl, ...file(alone), server: alone };
const ROWS = [
  ['nothing', false, {}],
  ['SSL_CERT_FILE alone', false, file(known.ca)],
  ['SSL_CERT_DIR alone', false, folder(known.ca)],
  ['SSL_CERT_DIR with another name, which OpenSSL ignores', false, byOtherName],
  ['NODE_TLS_REJECT_UNAUTHORIZED=0', true, { env: { NODE_TLS_REJECT_UNAUTHORIZED: '0' } }],
  ['NODE_TLS_REJECT_UNAUTHORIZED=1', false, { env: { NODE_TLS_REJECT_UNAUTHORIZED: '1' } }],
  ['a self-signed certificate in NODE_EXTRA_CA_CERTS', true, byAlone],
  ["a self-signed certificate in OpenSSL's store", true, inStore],
  ['an unlisted self-signed certificate', false, { server: alone }],
  ['NODE_EXTRA_CA_CERTS set at run time', false, { set: extra(known.ca).env }],
  ['NODE_EXTRA_CA_CERTS that cannot be read', false, extra({ certFile: '/nowhere/ca.pem' })],
  ['NODE_EXTRA_CA_CERTS without a certificate', false, extra({ certFile: __filename })],
  [
    'NODE_EXTRA_CA_CERTS that is removed after the start',
    true,
    { ...extra({ certFile: removed }), change: { removed } },
  ],
  ['NODE_EXTRA_CA_CERTS with a relative path', true, fromElsewhere],
  [
    'NODE_EXTRA_CA_CERTS that only the original user can read',
    true,
    { ...extra(known.ca), change: asOther.change },
  ],
  ...[22, 24].flatMap((major) => [
    [`NODE_EXTRA_CA_CERTS on Node ${major}`, true, { ...extra(known.ca), major }],
    [`SSL_CERT_FILE on Node ${major}`, true, { ...withOpenssl, ...file(known.ca), major }],
    [`NODE_EXTRA_CA_CERTS as another user on Node ${major}`, true, { ...asOther, major }],
  ]),
  ['NODE_EXTRA_CA_CERTS as another user', true, asOther],
  ...SOURCES.map(([name, source]) => [name, true, source(known.ca)]),
  ...SOURCES.map(([name, source]) => [`${name}, another authority`, false, source(other.ca)]),
];

describe('trust', { concurrency: 2 }, () => {
  /**
   * Runs `verdicts.js` with a row's settings and returns the manager's and Node's verdicts;
   * `undefined` if the function skips the test.
   */
  async function verdicts(t, { server = known.server, env, execArgv, major, ...more }) {
    const { options = {}, set = {}, change = {} } = more;
    if (change.user && process.getuid?.() !== 0) {
      assert.ok(!process.env.CI, 'CI runs as root');
      return t.skip('only root can become another user');
    }
    const binary = major && (await otherNode(t, major));
    if (major && binary === undefined) return undefined;
    const { key, cert } = server;
    const endpoint = await startEndpoint(t, { tls: { key, cert } });
    const args = [
      endpoint.tokenEndpoint,
      JSON.stringify(options),
      JSON.stringify(set),
      JSON.stringify(change),
    ];
    return run(t, 'verdicts.js', args, { execArgv, env: { ...CLEAN, ...env }, binary }).result();
  }

  for (const [name, isTrusted, row] of ROWS) {
    test(`${name}: ${isTrusted ? 'trusted' : 'not trusted'}, as with Node`, async (t) => {
      const seen = await verdicts(t, row);
      if (seen === undefined) return;
      assert.equal(seen.node === true, isTrusted, `Node: ${seen.node}`);
      assert.equal(seen.ours, isTrusted ? true : 'ERR_KEYCLOAK_TLS');
    });
  }

  test('the error names an unusable file in NODE_EXTRA_CA_CERTS', async (t) => {
    for (const [certFile, fault] of [
      ['/nowhere/ca.pem', 'is unreadable: No such file'],
      [__filename, 'contains no usable certificate'],
    ]) {
      const { message } = await verdicts(t, extra({ certFile }));
      assert.ok(message.includes(`"${certFile}" in NODE_EXTRA_CA_CERTS ${fault}`), message);
    }
  });

  test('`ca` adds to the certificates in NODE_EXTRA_CA_CERTS', async (t) => {
    const env = { NODE_EXTRA_CA_CERTS: known.ca.certFile };
    const { ours } = await verdicts(t, { env, options: { ca: other.ca.cert } });
    assert.equal(ours, true);
  });
});
