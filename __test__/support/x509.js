'use strict';

// Certificates of any kind, made by openssl: versions, extensions, keys, digests, serial numbers.
// `certificates.js` makes the ordinary ones.

const { execFileSync } = require('node:child_process');
const { generateKeyPairSync } = require('node:crypto');
const fs = require('node:fs');
const os = require('node:os');
const path = require('node:path');

const AUTHORITY = 'basicConstraints=critical,CA:TRUE\nkeyUsage=critical,keyCertSign,cRLSign';
const LEAF = 'subjectAltName=DNS:localhost,IP:127.0.0.1';
const EXPIRED = { from: '20200101000000Z', until: '20210101000000Z' };

/** The arguments for Node's `generateKeyPairSync`, by the name of the key. */
const KEYS = {
  'P-256': ['ec', { namedCurve: 'P-256' }],
  'P-384': ['ec', { namedCurve: 'P-384' }],
  Ed25519: ['ed25519'],
  'RSA 1024': ['rsa', { modulusLength: 1024 }],
  'RSA 2048': ['rsa', { modulusLength: 2048 }],
  'RSA 2048 with exponent 3': ['rsa', { modulusLength: 2048, publicExponent: 3 }],
};

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
[any_name]
commonName = supplied
[req]
distinguished_name = names
[names]
`;

/** Makes certificates in a folder, which `remove()` removes. */
function x509() {
  const directory = fs.mkdtempSync(path.join(os.tmpdir(), 'x509-'));
  const file = (name) => path.join(directory, name);
  const write = (name, text) => fs.writeFileSync(file(name), text);
  const openssl = (command) => {
    execFileSync('openssl', command.trim().split(/\s+/), { cwd: directory, stdio: 'pipe' });
  };
  write('openssl.cnf', CONFIGURATION);
  write('index.txt', '');
  const shared = new Map();
  let count = 0;

  function makeKey(kind) {
    const { privateKey, publicKey } = generateKeyPairSync(...KEYS[kind]);
    const pem = privateKey.export({ type: 'pkcs8', format: 'pem' });
    count += 1;
    const name = `${count}.key`;
    write(name, pem);
    write(`${name}.public`, publicKey.export({ type: 'spki', format: 'pem' }));
    return { name, pem };
  }

  /** Leaves with the same kind of key share one, because making an RSA key takes 100 ms. */
  function sharedKey(kind) {
    if (!shared.has(kind)) shared.set(kind, makeKey(kind));
    return shared.get(kind);
  }

  /**
   * Issues a certificate, self-signed without `by`. If `extensions` is empty, the certificate has
   * version 1. Authorities, and certificates with `isOwn`, each have their own key.
   */
  function issue(options = {}) {
    const { by, key: kind = 'P-256', extensions = by ? LEAF : AUTHORITY } = options;
    const { sign = '-sha256', validity, sameKeyAs, isOwn = false } = options;
    const hasOwn = !by || isOwn || extensions.includes('CA:TRUE');
    const key = sameKeyAs?.pair ?? (hasOwn ? makeKey(kind) : sharedKey(kind));
    count += 1;
    const name = `${count}`;
    const { subject = `/CN=certificate-${name}`, serial = `${count}` } = options;
    write(`${name}.ext`, extensions);
    if (validity) {
      const signer = by ? `-cert ${by.name}.pem -keyfile ${by.pair.name}` : '-selfsign';
      openssl(`req -new -config openssl.cnf -key ${key.name} -subj ${subject} -out ${name}.csr`);
      openssl(
        `ca -batch -notext -config openssl.cnf ${signer} ${by ? '' : `-keyfile ${key.name}`}
          -in ${name}.csr -out ${name}.pem -extfile ${name}.ext
          -startdate ${validity.from} -enddate ${validity.until}`,
      );
    } else {
      const signer = by
        ? `-CA ${by.name}.pem -CAkey ${by.pair.name} -force_pubkey ${key.name}.public`
        : `-signkey ${key.name}`;
      openssl(
        `x509 -new -subj ${subject} ${signer} -days 3650 -set_serial ${serial} ${sign}
          ${extensions === '' ? '' : `-extfile ${name}.ext`} -out ${name}.pem`,
      );
    }
    return { name, pair: key, key: key.pem, cert: fs.readFileSync(file(`${name}.pem`), 'utf8') };
  }

  const remove = () => fs.rmSync(directory, { recursive: true, force: true });
  return { directory, issue, remove };
}

module.exports = { AUTHORITY, EXPIRED, LEAF, x509 };
