'use strict';

// Makes a certificate authority and a server certificate for 127.0.0.1 with OpenSSL.

const { execFileSync } = require('node:child_process');
const fs = require('node:fs');
const os = require('node:os');
const path = require('node:path');

// A configuration of our own, because that of the machine may contain anything.
const CONFIGURATION = `
[req]
distinguished_name = name
[name]
[authority]
basicConstraints = critical, CA:TRUE
[server]
basicConstraints = critical, CA:FALSE
subjectAltName = IP:127.0.0.1
`;

function makeCertificates() {
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'bench-certificates-'));
  fs.writeFileSync(path.join(folder, 'openssl.cnf'), CONFIGURATION);
  const make = (name, ...more) => {
    const key = ['-nodes', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256'];
    const files = ['-keyout', `${name}.key`, '-out', `${name}.pem`];
    const args = ['req', '-x509', '-config', 'openssl.cnf', '-subj', `/CN=${name}`, '-days', '30'];
    args.push('-extensions', name, ...key, ...files, ...more);
    execFileSync('openssl', args, { cwd: folder, stdio: 'pipe' });
  };
  make('authority');
  make('server', '-CA', 'authority.pem', '-CAkey', 'authority.key');
  const read = (name) => fs.readFileSync(path.join(folder, name), 'utf8');
  return {
    authorityFile: path.join(folder, 'authority.pem'),
    server: { cert: read('server.pem'), key: read('server.key') },
    remove: () => fs.rmSync(folder, { recursive: true }),
  };
}

module.exports = { makeCertificates };
