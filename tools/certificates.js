'use strict';

// Makes certificates with openssl: an authority, certificates that it issues, and certificates with
// chosen versions, extensions, keys, digests and serial numbers. Each run makes new certificates,
// because stored certificates would expire. The process removes the files when it exits.

const { execFileSync } = require('node:child_process');
const { generateKeyPairSync } = require('node:crypto');
const fs = require('node:fs');
const os = require('node:os');
const path = require('node:path');

const AUTHORITY = 'basicConstraints=critical,CA:TRUE\nkeyUsage=critical,keyCertSign,cRLSign';
const LEAF = 'subjectAltName=DNS:localhost,IP:127.0.0.1';
const EXPIRED = { from: '20200101000000Z', until: '20210101000000Z' };

const FOR_SERVERS =
  'basicConstraints=critical,CA:FALSE\nkeyUsage=critical,digitalSignature\nextendedKeyUsage=serverAuth';
const FOR_CLIENTS = FOR_SERVERS.replace('serverAuth', 'clientAuth');

/** The arguments for Node's `generateKeyPairSync`, keyed by the kind of key. */
const KEYS = {
  'P-256': ['ec', { namedCurve: 'P-256' }],
  'P-384': ['ec', { namedCurve: 'P-384' }],
  'P-521': ['ec', { namedCurve: 'P-521' }],
  Ed25519: ['ed25519'],
  'RSA 1024': ['rsa', { modulusLength: 1024 }],
  'RSA 2048': ['rsa', { modulusLength: 2048 }],
  'RSA 2048 with exponent 3': ['rsa', { modulusLength: 2048, publicExponent: 3 }],
  'RSA-PSS': ['rsa-pss', { modulusLength: 2048 }],
};

// The configuration is complete, so openssl does not use the machine's own openssl.cnf.
const CONFIGURATION = `
[ca]
default_ca = authority
[authority]
database = index.txt
new_certs_dir = .
rand_serial = yes
default_md = sha256
policy = any_name
unique_subject = no
[any_name]
commonName = supplied
[req]
distinguished_name = names
[names]
`;

/** Runs an openssl command whose arguments contain no spaces. */
function openssl(directory, command) {
  try {
    execFileSync('openssl', command.trim().split(/\s+/), { cwd: directory, stdio: 'pipe' });
  } catch (error) {
    if (error.code !== 'ENOENT') throw error;
    throw new Error('tests that make certificates require the openssl command');
  }
}

/**
 * Makes a certificate and returns `{ name, key, cert, keyFile, certFile }`, with the key and the
 * certificate as PEM texts. Without `by`, the certificate is self-signed; with empty `extensions`,
 * it has version 1. `name` is also the name of the files.
 */
function makeCertificate(directory, number, options) {
  const { by, key: kind = 'P-256', extensions = by ? LEAF : AUTHORITY, sign = '-sha256' } = options;
  const { name = `certificate-${number}`, subject = `/CN=${name}`, serial = `${number}` } = options;
  const { validity, sameKeyAs } = options;
  const file = (end) => path.join(directory, `${name}.${end}`);
  const generate = () => generateKeyPairSync(...KEYS[kind]).privateKey;
  const key = sameKeyAs?.key ?? generate().export({ type: 'pkcs8', format: 'pem' });
  fs.writeFileSync(file('key'), key);
  fs.writeFileSync(file('ext'), extensions);
  openssl(
    directory,
    `req -new -config openssl.cnf -key ${name}.key -subj ${subject} -out ${name}.csr`,
  );
  if (validity) {
    const signer = by
      ? `-cert ${by.name}.pem -keyfile ${by.name}.key`
      : `-selfsign -keyfile ${name}.key`;
    openssl(
      directory,
      `ca -batch -notext -config openssl.cnf ${signer} -in ${name}.csr -out ${name}.pem
        -extfile ${name}.ext -startdate ${validity.from} -enddate ${validity.until}`,
    );
  } else {
    const signer = by ? `-CA ${by.name}.pem -CAkey ${by.name}.key` : `-signkey ${name}.key`;
    openssl(
      directory,
      `x509 -req -in ${name}.csr ${signer} -days 7300 -set_serial ${serial} ${sign}
        ${extensions === '' ? '' : `-extfile ${name}.ext`} -out ${name}.pem`,
    );
  }
  const cert = fs.readFileSync(file('pem'), 'utf8');
  return { name, key, cert, keyFile: file('key'), certFile: file('pem') };
}

/**
 * Makes the authority `ca`, and three server certificates: `server` for localhost, 127.0.0.1 and
 * ::1, `wrongName` for another name, and `expired`. `client(name)` makes a client certificate,
 * `named(name)` a certificate for the server `name.example`, and `issue(options)` any other
 * certificate. `remove()` removes the files before the process exits.
 */
function makeCertificates() {
  const directory = fs.mkdtempSync(path.join(os.tmpdir(), 'certificates-'));
  const remove = () => fs.rmSync(directory, { recursive: true, force: true });
  process.once('exit', remove);
  fs.writeFileSync(path.join(directory, 'openssl.cnf'), CONFIGURATION);
  fs.writeFileSync(path.join(directory, 'index.txt'), '');
  let count = 0;
  const issue = (options = {}) => {
    count += 1;
    return makeCertificate(directory, count, options);
  };
  const ca = issue({ name: 'ca' });
  const server = (name, names, more) =>
    issue({ by: ca, name, extensions: `${FOR_SERVERS}\nsubjectAltName=${names}`, ...more });
  const client = (name, more) => issue({ by: ca, name, extensions: FOR_CLIENTS, ...more });
  const local = 'DNS:localhost,IP:127.0.0.1,IP:::1';
  return {
    directory,
    ca,
    server: server('server', local),
    wrongName: server('wrong-name', 'DNS:elsewhere.example'),
    expired: server('expired', local, { validity: EXPIRED }),
    client,
    named: (name) => server(name, `DNS:${name}.example`),
    issue,
    remove,
  };
}

module.exports = { AUTHORITY, EXPIRED, LEAF, makeCertificates };
