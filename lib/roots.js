'use strict';

const { readFileSync } = require('node:fs');

/** The certificates that this process trusts, asked of Node itself, as PEM after PEM. */
function trustedByNode() {
  const usesOpenssl = hasOption('--use-openssl-ca');
  const certificates = usesOpenssl ? opensslFile() : bundledAndExtra();
  return certificates.join('\n');
}

function bundledAndExtra() {
  // Loading it takes longer than loading the rest of the package, and most never need it.
  const tls = require('node:tls');
  if (tls.getCACertificates) return tls.getCACertificates('default');
  return [...tls.rootCertificates, ...environment()];
}

// With --use-openssl-ca Node leaves the look-up to OpenSSL, which has no list to show.
function opensslFile() {
  return [...readable(process.env.SSL_CERT_FILE), ...environment()];
}

// Node looks at the variable when the process starts. On Linux the native side does as well; a
// change made later counts for neither.
function environment() {
  return process.platform === 'linux' ? [] : readable(process.env.NODE_EXTRA_CA_CERTS);
}

// Node warns of a file that it cannot read and goes on; so do we, without a second warning.
function readable(path) {
  if (!path) return [];
  try {
    return [readFileSync(path, 'utf8')];
  } catch {
    return [];
  }
}

function hasOption(name) {
  const fromEnvironment = (process.env.NODE_OPTIONS ?? '').split(/\s+/);
  return process.execArgv.includes(name) || fromEnvironment.includes(name);
}

module.exports = { trustedByNode };
