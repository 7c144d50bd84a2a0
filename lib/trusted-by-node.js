'use strict';

const { existsSync, readdirSync, readFileSync } = require('node:fs');
const path = require('node:path');

/** Returns the certificates that this Node process trusts, as consecutive PEM blocks. */
function trustedByNode() {
  const certificates = usesOpenssl() ? opensslStore() : bundledAndExtra();
  return certificates.join('\n');
}

function bundledAndExtra() {
  // Loading this module takes longer than loading the rest of the package, and most managers never
  // need it.
  const tls = require('node:tls');
  if (tls.getCACertificates) return tls.getCACertificates('default');
  return [...tls.rootCertificates];
}

// Reads the certificates that Node trusts with `--use-openssl-ca`. OpenSSL cannot list them: it
// uses a file, and folders in which the name of each file is the hash of the certificate's subject.
function opensslStore() {
  const { SSL_CERT_FILE: file, SSL_CERT_DIR: folders } = process.env;
  const home = opensslHome();
  const files = [file ?? path.join(home, 'cert.pem')];
  for (const folder of (folders ?? path.join(home, 'certs')).split(path.delimiter)) {
    files.push(...hashed(folder));
  }
  return files.flatMap(readable);
}

// Returns OpenSSL's folder. Node's official releases use /etc/ssl. A Node that is linked to the
// system's OpenSSL uses the folder of that OpenSSL, which Red Hat's and Debian's systems put in
// different places.
function opensslHome() {
  const homes = ['/etc/pki/tls', '/usr/lib/ssl'];
  const isShared = process.config.variables.node_shared_openssl;
  return (isShared && homes.find((home) => existsSync(home))) || '/etc/ssl';
}

function hashed(folder) {
  try {
    const names = readdirSync(folder).filter((name) => /^[0-9a-f]{8}\.\d+$/.test(name));
    return names.map((name) => path.join(folder, name));
  } catch {
    return [];
  }
}

// Returns the content of a file as a list, which is empty if the file is unreadable. Node warns
// about such a file and continues. This package continues without a warning.
function readable(file) {
  if (!file) return [];
  try {
    return [readFileSync(file, 'utf8')];
  } catch {
    return [];
  }
}

// Whether Node uses the certificates of OpenSSL. Some distributions build Node with this default.
function usesOpenssl() {
  if (hasOption('--use-openssl-ca')) return true;
  const isDefault = process.config.target_defaults?.defines?.includes('NODE_OPENSSL_CERT_STORE');
  return isDefault === true && !hasOption('--use-bundled-ca');
}

function hasOption(name) {
  const given = [...process.execArgv, ...wordsOf(process.env.NODE_OPTIONS ?? '')];
  return given.some((option) => option.replaceAll('_', '-') === name);
}

// Splits the variable as Node does: spaces separate words, except in double quotes, in which a
// backslash escapes a character.
function wordsOf(text) {
  const words = text.match(/(?:"(?:\\.|[^"\\])*"|[^ "])+/g) ?? [];
  const unquoted = (_, quoted) => quoted.replace(/\\(.)/g, '$1');
  return words.map((word) => word.replace(/"((?:\\.|[^"\\])*)"/g, unquoted));
}

module.exports = { trustedByNode };
