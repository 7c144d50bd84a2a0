'use strict';

// A certificate authority and the certificates that most tests need. Each run makes new ones,
// because a stored one would expire. The files are removed when the process exits.

const fs = require('node:fs');
const path = require('node:path');
const { AUTHORITY, EXPIRED, x509 } = require('../__test__/support/x509.js');

const VALID = { from: '20200101000000Z', until: '20491231000000Z' };
const LOCAL = 'subjectAltName=DNS:localhost,IP:127.0.0.1,IP:::1';
const LEAF = 'basicConstraints=critical,CA:FALSE\nkeyUsage=critical,digitalSignature';
const SERVER = `${LEAF}\nextendedKeyUsage=serverAuth`;
const CLIENT = `${LEAF}\nextendedKeyUsage=clientAuth`;

/**
 * Each is `{ key, cert, keyFile, certFile }`, in PEM: the authority; a server's for localhost,
 * 127.0.0.1 and ::1; one for another name; one that has expired. `client(name)` makes that of a
 * client, `named(name)` that of a server `name.example`, `selfSigned(name)` one as `openssl req
 * -x509` makes it by default, which is an authority; `remove()` removes the files early.
 */
function makeCertificates() {
  const { directory, issue, remove } = x509();
  process.once('exit', remove);
  const save = (name, { key, cert }) => {
    const [keyFile, certFile] = ['key', 'pem'].map((end) => path.join(directory, `${name}.${end}`));
    fs.writeFileSync(keyFile, key);
    fs.writeFileSync(certFile, cert);
    return { key, cert, keyFile, certFile };
  };
  const make = (name, extensions, by, validity = VALID) =>
    save(name, issue({ subject: `/CN=${name}`, by, extensions, validity, isOwn: true }));
  const ca = issue({ subject: '/CN=ca', extensions: `${AUTHORITY}\nsubjectKeyIdentifier=hash` });
  return {
    directory,
    ca: save('ca', ca),
    server: make('server', `${SERVER}\n${LOCAL}`, ca),
    wrongName: make('wrong-name', `${SERVER}\nsubjectAltName=DNS:elsewhere.example`, ca),
    expired: make('expired', `${SERVER}\n${LOCAL}`, ca, EXPIRED),
    client: (name) => make(name, CLIENT, ca),
    named: (name) => make(name, `${LEAF}\nsubjectAltName=DNS:${name}.example`, ca),
    selfSigned: (name) => make(name, `basicConstraints=critical,CA:TRUE\n${LOCAL}`),
    expiredClient: (name) => make(name, CLIENT, ca, EXPIRED),
    remove,
  };
}

module.exports = { makeCertificates };
