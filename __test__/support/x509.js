'use strict';

// Certificates of any kind, made by openssl: versions, extensions, keys, digests, serial numbers.
// `certificates.js` makes the ordinary ones.

const { execFileSync } = require('node:child_process');
const fs = require('node:fs');
const os = require('node:os');
const path = require('node:path');

const AUTHORITY = 'basicConstraints=critical,CA:TRUE\nkeyUsage=critical,keyCertSign,cRLSign';
const LEAF = 'subjectAltName=DNS:localhost,IP:127.0.0.1';
const EXPIRED = { from: '20200101000000Z', until: '20210101000000Z' };

/** How openssl names the keys of the tables. */
const KEYS = {
  'P-256': 'EC -pkeyopt ec_paramgen_curve:P-256',
  'P-384': 'EC -pkeyopt ec_paramgen_curve:P-384',
  'P-521': 'EC -pkeyopt ec_paramgen_curve:P-521',
  secp256k1: 'EC -pkeyopt ec_paramgen_curve:secp256k1',
  Ed25519: 'ED25519',
  Ed448: 'ED448',
  'RSA 1024': 'RSA -pkeyopt rsa_keygen_bits:1024',
  'RSA 2048': 'RSA -pkeyopt rsa_keygen_bits:2048',
  'RSA 2048 with exponent 3': 'RSA -pkeyopt rsa_keygen_bits:2048 -pkeyopt rsa_keygen_pubexp:3',
  'RSA-PSS': 'RSA-PSS -pkeyopt rsa_keygen_bits:2048',
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
prompt = no
[names]
commonName = unused
`;

/** A folder of certificates. `remove()` removes it. */
function x509() {
  const directory = fs.mkdtempSync(path.join(os.tmpdir(), 'x509-'));
  const file = (name) => path.join(directory, name);
  const write = (name, text) => fs.writeFileSync(file(name), text);
  const read = (name) => fs.readFileSync(file(name), 'utf8');
  const openssl = (...parts) => {
    const args = parts.flatMap((part) => part.trim().split(/\s+/));
    execFileSync('openssl', args, { cwd: directory, stdio: 'pipe' });
  };
  write('openssl.cnf', CONFIGURATION);
  write('index.txt', '');
  const keys = new Map();
  let count = 0;

  /** The file of a key. One for each kind, because an RSA key takes a tenth of a second. */
  function keyFile(kind, isOwn) {
    if (!isOwn && keys.has(kind)) return keys.get(kind);
    const name = isOwn ? `key-${(count += 1)}` : `${kind.replaceAll(' ', '-')}.key`;
    openssl(`genpkey -algorithm ${KEYS[kind]} -out ${name}`);
    if (!isOwn) keys.set(kind, name);
    return name;
  }

  /**
   * Issues a certificate: `{ key, cert, chain }`. Without `by` it is self-signed; with an empty
   * `extensions` it has version 1.
   */
  function issue(options = {}) {
    const { by, key: kind = 'P-256', extensions = by ? LEAF : AUTHORITY, subject } = options;
    const { sign = '-sha256', serial, validity } = options;
    const name = `certificate-${(count += 1)}`;
    // An authority has its own key, so that its name and key identify it.
    const hasOwn = !by || extensions.includes('CA:TRUE') || options.isOwn;
    const key = options.sameKeyAs?.keyFile ?? keyFile(kind, hasOwn);
    openssl(
      `req -new -config openssl.cnf -key ${key} -out ${name}.csr`,
      '-subj',
      subject ?? `/CN=${name}`,
    );
    write(`${name}.ext`, extensions);
    const signer = by ?? { file: undefined };
    if (validity) {
      const issuer = by
        ? `-cert ${signer.file}.pem -keyfile ${signer.keyFile}`
        : `-selfsign -keyfile ${key}`;
      openssl(
        `ca -batch -notext -config openssl.cnf ${issuer} -in ${name}.csr -out ${name}.pem
          -extfile ${name}.ext -startdate ${validity.from} -enddate ${validity.until}`,
      );
    } else {
      const issuer = by ? `-CA ${signer.file}.pem -CAkey ${signer.keyFile}` : `-signkey ${key}`;
      const number = serial ?? `0x${(0x1000 + count).toString(16)}`;
      const withExtensions = extensions === '' ? '' : `-extfile ${name}.ext`;
      openssl(
        `x509 -req -in ${name}.csr ${issuer} -out ${name}.pem -days 3650 -set_serial ${number}
          ${sign} ${withExtensions}`,
      );
    }
    const cert = read(`${name}.pem`);
    return {
      file: name,
      keyFile: key,
      certFile: file(`${name}.pem`),
      key: read(key),
      cert,
      /** The certificate with those of its issuers, without the root. */
      chain: by?.chain ? cert + by.chain : cert,
      subject,
    };
  }

  const remove = () => fs.rmSync(directory, { recursive: true, force: true });
  return { directory, issue, openssl, file, read, write, remove };
}

module.exports = { AUTHORITY, EXPIRED, LEAF, x509 };
