'use strict';

// A certificate authority of our own and what it signed. They are made at each run: one
// that is kept runs out some day.

const { execFileSync } = require('node:child_process');
const fs = require('node:fs');
const os = require('node:os');
const path = require('node:path');

const VALID = { from: '20200101000000Z', until: '20491231000000Z' };
const EXPIRED = { from: '20200101000000Z', until: '20210101000000Z' };

// Everything is said here, since the machine's own openssl.cnf may say anything.
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
prompt = no
[names]
[authority_extensions]
basicConstraints = critical, CA:TRUE
keyUsage = critical, keyCertSign, cRLSign
subjectKeyIdentifier = hash
[local]
basicConstraints = critical, CA:FALSE
keyUsage = critical, digitalSignature
extendedKeyUsage = serverAuth
subjectAltName = DNS:localhost, IP:127.0.0.1, IP:::1
[elsewhere]
basicConstraints = critical, CA:FALSE
keyUsage = critical, digitalSignature
extendedKeyUsage = serverAuth
subjectAltName = DNS:elsewhere.example
[alone]
basicConstraints = critical, CA:TRUE
subjectAltName = DNS:localhost, IP:127.0.0.1
[client]
basicConstraints = critical, CA:FALSE
keyUsage = critical, digitalSignature
extendedKeyUsage = clientAuth
`;

function openssl(directory, ...args) {
  try {
    execFileSync('openssl', args, { cwd: directory, stdio: 'pipe' });
  } catch (error) {
    if (error.code !== 'ENOENT') throw error;
    throw new Error('the openssl command is needed to make certificates, and is not there');
  }
}

/** The arguments that make a key and what is signed with it. */
function newKey(name, commonName) {
  return [
    'req',
    '-new',
    '-config',
    'openssl.cnf',
    '-subj',
    `/CN=${commonName}`,
    '-nodes',
    '-newkey',
    'ec',
    '-pkeyopt',
    'ec_paramgen_curve:P-256',
    '-keyout',
    `${name}.key`,
  ];
}

function readPair(directory, name) {
  const [keyFile, certFile] = ['key', 'pem'].map((end) => path.join(directory, `${name}.${end}`));
  return {
    key: fs.readFileSync(keyFile, 'utf8'),
    cert: fs.readFileSync(certFile, 'utf8'),
    keyFile,
    certFile,
  };
}

function makeAuthority(directory) {
  fs.writeFileSync(path.join(directory, 'openssl.cnf'), CONFIGURATION);
  fs.writeFileSync(path.join(directory, 'index.txt'), '');
  openssl(
    directory,
    ...newKey('ca', 'Test authority'),
    '-x509',
    '-days',
    '7300',
    '-extensions',
    'authority_extensions',
    '-out',
    'ca.pem',
  );
  return readPair(directory, 'ca');
}

function makeCertificate(directory, name, extensions, { from, until }) {
  openssl(directory, ...newKey(name, name), '-out', `${name}.csr`);
  openssl(
    directory,
    'ca',
    '-batch',
    '-notext',
    '-config',
    'openssl.cnf',
    '-cert',
    'ca.pem',
    '-keyfile',
    'ca.key',
    '-in',
    `${name}.csr`,
    '-out',
    `${name}.pem`,
    '-extensions',
    extensions,
    '-startdate',
    from,
    '-enddate',
    until,
  );
  return readPair(directory, name);
}

/** As `openssl req -x509` makes it: signed with its own key, and marked as an authority. */
function makeSelfSigned(directory, name) {
  openssl(
    directory,
    ...newKey(name, name),
    '-x509',
    '-days',
    '7300',
    '-extensions',
    'alone',
    '-out',
    `${name}.pem`,
  );
  return readPair(directory, name);
}

/**
 * Each is `{ key, cert, keyFile, certFile }`, in PEM: the authority; a server's for localhost,
 * 127.0.0.1 and ::1; one for another name; one that has run out. `client(name)` makes a client's.
 *
 * @param {string} [directory] where the files go; by default a new one, which `remove()` removes
 */
function makeCertificates(directory) {
  const place = directory ?? fs.mkdtempSync(path.join(os.tmpdir(), 'certificates-'));
  return {
    directory: place,
    ca: makeAuthority(place),
    server: makeCertificate(place, 'server', 'local', VALID),
    wrongName: makeCertificate(place, 'wrong-name', 'elsewhere', VALID),
    expired: makeCertificate(place, 'expired', 'local', EXPIRED),
    client: (name) => makeCertificate(place, name, 'client', VALID),
    selfSigned: (name) => makeSelfSigned(place, name),
    expiredClient: (name) => makeCertificate(place, name, 'client', EXPIRED),
    remove() {
      if (directory === undefined) fs.rmSync(place, { recursive: true, force: true });
    },
  };
}

module.exports = { makeCertificates };
