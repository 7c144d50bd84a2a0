'use strict';

// A certificate authority and its certificates. Each run makes new ones, because a stored one would
// expire. The files are removed when the process exits.

const { execFileSync } = require('node:child_process');
const fs = require('node:fs');
const os = require('node:os');
const path = require('node:path');

const VALID = { from: '20200101000000Z', until: '20491231000000Z' };
const EXPIRED = { from: '20200101000000Z', until: '20210101000000Z' };

// The configuration is complete, so that the machine's own openssl.cnf has no effect.
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
copy_extensions = copy
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
[named]
basicConstraints = critical, CA:FALSE
[alone]
basicConstraints = critical, CA:TRUE
subjectAltName = DNS:localhost, IP:127.0.0.1
[client]
basicConstraints = critical, CA:FALSE
keyUsage = critical, digitalSignature
extendedKeyUsage = clientAuth
`;

/** Runs a command line whose arguments contain no space. */
function openssl(directory, command) {
  try {
    execFileSync('openssl', command.split(/\s+/), { cwd: directory, stdio: 'pipe' });
  } catch (error) {
    if (error.code !== 'ENOENT') throw error;
    throw new Error('tests that make certificates require the command openssl');
  }
}

/** The command line that makes a key and a request or a certificate for it. */
const newKey = (name) =>
  `req -new -config openssl.cnf -subj /CN=${name} -nodes -newkey ec
    -pkeyopt ec_paramgen_curve:P-256 -keyout ${name}.key`;

function readPair(directory, name) {
  const [keyFile, certFile] = ['key', 'pem'].map((end) => path.join(directory, `${name}.${end}`));
  const [key, cert] = [keyFile, certFile].map((file) => fs.readFileSync(file, 'utf8'));
  return { key, cert, keyFile, certFile };
}

function makeAuthority(directory) {
  fs.writeFileSync(path.join(directory, 'openssl.cnf'), CONFIGURATION);
  fs.writeFileSync(path.join(directory, 'index.txt'), '');
  return makeSelfSigned(directory, 'ca', 'authority_extensions');
}

function makeCertificate(directory, name, extensions, { from, until }, requested = '') {
  openssl(directory, `${newKey(name)} -out ${name}.csr${requested}`);
  openssl(
    directory,
    `ca -batch -notext -config openssl.cnf -cert ca.pem -keyfile ca.key -in ${name}.csr
      -out ${name}.pem -extensions ${extensions} -startdate ${from} -enddate ${until}`,
  );
  return readPair(directory, name);
}

/** A certificate as `openssl req -x509` makes it by default: self-signed, and an authority. */
function makeSelfSigned(directory, name, extensions = 'alone') {
  openssl(directory, `${newKey(name)} -x509 -days 7300 -extensions ${extensions} -out ${name}.pem`);
  return readPair(directory, name);
}

/**
 * Each is `{ key, cert, keyFile, certFile }`, in PEM: the authority; a server's for localhost,
 * 127.0.0.1 and ::1; one for another name; one that has expired. `client(name)` makes that of a
 * client, `named(name)` that of a server `name.example`, `remove()` removes the files early.
 */
function makeCertificates() {
  const place = fs.mkdtempSync(path.join(os.tmpdir(), 'certificates-'));
  const remove = () => fs.rmSync(place, { recursive: true, force: true });
  process.once('exit', remove);
  return {
    directory: place,
    ca: makeAuthority(place),
    server: makeCertificate(place, 'server', 'local', VALID),
    wrongName: makeCertificate(place, 'wrong-name', 'elsewhere', VALID),
    expired: makeCertificate(place, 'expired', 'local', EXPIRED),
    client: (name) => makeCertificate(place, name, 'client', VALID),
    named: (name) =>
      makeCertificate(place, name, 'named', VALID, ` -addext subjectAltName=DNS:${name}.example`),
    selfSigned: (name) => makeSelfSigned(place, name),
    expiredClient: (name) => makeCertificate(place, name, 'client', EXPIRED),
    remove,
  };
}

module.exports = { makeCertificates };
