'use strict';

// The certificates that a manager trusts, in a form for Node's TLS: the certificates that the Node
// process trusts, and those in the options `ca` and `caFile`.

const { X509Certificate } = require('node:crypto');
const fs = require('node:fs');
const tls = require('node:tls');
const { trustedByNode } = require('../trusted-by-node.js');

const CERTIFICATE = /-----BEGIN CERTIFICATE-----[^-]*-----END CERTIFICATE-----/g;

const certificatesIn = (text) => text.match(CERTIFICATE) ?? [];

/** Returns the certificates in the options. Throws if `caFile` is unreadable. */
function ownCertificates({ ca, caFile }) {
  const fromFile = caFile === undefined ? '' : fs.readFileSync(caFile, 'utf8');
  return certificatesIn(`${ca ?? ''}\n${fromFile}`);
}

/** Returns all trusted certificates. `env` is the environment in which the process started. */
function trusted(options, env) {
  const ofNode = certificatesIn(trustedByNode());
  // Older versions of Node do not list the certificates of `NODE_EXTRA_CA_CERTS`.
  const isListed = tls.getCACertificates !== undefined;
  const extra = isListed ? [] : certificatesIn(readable(env.NODE_EXTRA_CA_CERTS));
  return [...ofNode, ...extra, ...ownCertificates(options)];
}

function readable(file) {
  if (!file) return '';
  try {
    return fs.readFileSync(file, 'utf8');
  } catch {
    // Node continues without the file too.
    return '';
  }
}

/**
 * Returns the TLS context, which all connections of a run share, because Node takes a long time to
 * read so many certificates.
 */
function secureContext(context) {
  context.secureContext ??= tls.createSecureContext({
    ca: trusted(context.options, context.startEnv),
    minVersion: 'TLSv1.2',
  });
  return context.secureContext;
}

/** The files with the certificates that the system trusts. Node ignores them by default. */
const OF_THE_SYSTEM = [
  '/etc/ssl/certs/ca-certificates.crt',
  '/etc/pki/tls/certs/ca-bundle.crt',
  '/etc/ssl/ca-bundle.pem',
  '/etc/ssl/cert.pem',
];

/** Returns the system file that contains the issuer of a certificate, which is in DER form. */
function fileWithIssuer(der, env) {
  const certificate = new X509Certificate(der);
  const files = [env.SSL_CERT_FILE, ...OF_THE_SYSTEM].filter(Boolean);
  return files.find((file) =>
    certificatesIn(readable(file)).some((pem) => isIssuedBy(certificate, pem)),
  );
}

function isIssuedBy(certificate, pem) {
  try {
    const issuer = new X509Certificate(pem);
    return certificate.checkIssued(issuer) && certificate.verify(issuer.publicKey);
  } catch {
    // The system may trust certificates that Node cannot read.
    return false;
  }
}

module.exports = { certificatesIn, fileWithIssuer, ownCertificates, secureContext };
