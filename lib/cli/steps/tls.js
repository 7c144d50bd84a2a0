'use strict';

// Checks the server's TLS and certificate with Node, which here trusts the same certificates as the
// manager. The step performs only the handshake. The native core is stricter in some cases, which
// only the token request reveals.

const { openPath, secure } = require('../connection.js');
const { failed, faultOf, ok, warning } = require('../finding.js');
const { hostOf } = require('../proxy-choice.js');
const { certificatesIn, fileWithIssuer, ownCertificates, secureContext } = require('../trust.js');

const DAY_MS = 86_400_000;
const SOON_DAYS = 14;

const UNTRUSTED = [
  'UNABLE_TO_VERIFY_LEAF_SIGNATURE',
  'UNABLE_TO_GET_ISSUER_CERT_LOCALLY',
  'UNABLE_TO_GET_ISSUER_CERT',
];

const certificates = {
  name: 'TLS',
  needs: ['proxy'],
  applies: ({ target }) => target?.protocol !== 'http:',
  async run(context, signal) {
    const { target, proxy, options } = context;
    const fault = trustFault(options);
    if (fault !== undefined) return fault;
    const settings = { signal, secureContext: secureContext(context) };
    const plain = await openPath(target, proxy, settings);
    let socket;
    try {
      socket = await secure(plain, hostOf(target), { ...settings, inspects: true });
      return inspect(socket, context);
    } catch (error) {
      return handshakeFault(error, context);
    } finally {
      (socket ?? plain).destroy();
    }
  },
};

/** Returns a failure if `caFile` is unreadable or contains no certificate. */
function trustFault(options) {
  let own;
  try {
    own = ownCertificates(options);
  } catch ({ code }) {
    return failed(
      `caFile ${JSON.stringify(options.caFile)} is unreadable (${code})`,
      'check the mount and its permissions, or correct caFile',
    );
  }
  if (options.caFile === undefined || own.length > certificatesIn(options.ca ?? '').length) {
    return undefined;
  }
  return failed(
    `caFile ${JSON.stringify(options.caFile)} contains no PEM certificate`,
    'put the PEM certificate of the authority into the file',
  );
}

function inspect(socket, { redactor, target, startEnv }) {
  const chain = chainOf(socket);
  const [leaf] = chain;
  const names = (subject) => redactor.show(nameOf(subject));
  const until = dateOf(leaf.valid_to);
  if (socket.authorizationError) {
    const code = `${socket.authorizationError}`;
    return explain(code, { chain, names, target, redactor, startEnv });
  }
  const text =
    `${socket.getProtocol()}, certificate for ${names(leaf.subject)}, ` +
    `issued by ${names(leaf.issuer)}, valid until ${until}`;
  const days = Math.floor((new Date(leaf.valid_to) - Date.now()) / DAY_MS);
  if (days < SOON_DAYS) return warning(`${text}, which is in ${days} d`, 'renew the certificate');
  return ok(text);
}

function chainOf(socket) {
  const chain = [];
  for (
    let at = socket.getPeerCertificate(true);
    at?.subject !== undefined && !chain.includes(at);
    at = at.issuerCertificate
  ) {
    chain.push(at);
  }
  return chain;
}

const nameOf = (subject) => {
  const entries = Object.entries(subject ?? {}).map(([key, value]) => `${key}=${value}`);
  return entries.length === 0 ? 'an empty name' : entries.join(', ');
};
const dateOf = (text) => new Date(text).toISOString().slice(0, 10);

function explain(code, { chain, names, target, redactor, startEnv }) {
  const [leaf] = chain;
  const top = chain.at(-1);
  const isSelfSigned = nameOf(top.subject) === nameOf(top.issuer);
  if (code === 'ERR_TLS_CERT_ALTNAME_INVALID') return wrongName(leaf, target, redactor);
  if (code === 'CERT_HAS_EXPIRED' || code === 'CERT_NOT_YET_VALID') return wrongTime(chain, names);
  if (code === 'DEPTH_ZERO_SELF_SIGNED_CERT') {
    return failed(
      `the server's certificate, ${names(leaf.subject)}, is self-signed and not trusted`,
      `set caFile to this certificate if you trust it (SHA-256 ${leaf.fingerprint256}), or issue ` +
        'one that a trusted authority signs',
    );
  }
  const file = [...UNTRUSTED, 'SELF_SIGNED_CERT_IN_CHAIN'].includes(code)
    ? fileWithIssuer(top.raw, startEnv)
    : undefined;
  if (file !== undefined) {
    return failed(
      `Node does not trust the authority ${names(top.issuer)}, which issued ${names(leaf.subject)}`,
      `the system file ${file} contains this authority; set the backend's environment variable ` +
        'NODE_EXTRA_CA_CERTS, or the option caFile, to this file',
    );
  }
  if (code === 'SELF_SIGNED_CERT_IN_CHAIN') {
    return failed(
      `the authority ${names(top.subject)} is not trusted`,
      `set caFile to the certificate of this authority (SHA-256 ${top.fingerprint256}), or set ` +
        'NODE_EXTRA_CA_CERTS',
    );
  }
  if (UNTRUSTED.includes(code) && !isSelfSigned) {
    const hint =
      chain.length === 1
        ? "; if it is an intermediate authority, the server must also send the authority's certificate"
        : '';
    return failed(
      `the authority ${names(top.issuer)}, which issued ${names(top.subject)}, is not trusted`,
      `set caFile to the certificate of this authority, or set NODE_EXTRA_CA_CERTS${hint}`,
    );
  }
  return failed(
    `the certificate ${names(leaf.subject)} is not valid (${redactor.show(code)})`,
    'issue another certificate; docs/network.md says which certificates are valid',
  );
}

function wrongName(leaf, target, redactor) {
  const { subject, subjectaltname: names } = leaf;
  const host = hostOf(target);
  return failed(
    names === undefined
      ? `the certificate ${redactor.show(nameOf(subject))} is not for ${host}, and has no subjectAltName`
      : `the certificate is for ${redactor.show(names)}, not for ${host}`,
    'use a host name from the certificate in the URL, or issue a certificate for this host',
  );
}

function wrongTime(chain, names) {
  const now = Date.now();
  const at = chain.findIndex(
    ({ valid_from: from, valid_to: to }) => new Date(from) > now || new Date(to) < now,
  );
  const found = chain[at] ?? chain[0];
  const hasExpired = new Date(found.valid_to) < now;
  const what = at > 0 ? 'the authority' : 'the certificate';
  const text = hasExpired
    ? `${what} ${names(found.subject)} expired on ${dateOf(found.valid_to)}`
    : `${what} ${names(found.subject)} is not valid before ${dateOf(found.valid_from)}`;
  const advice =
    at > 0
      ? "renew the authority's certificate, and replace it in caFile and on the server"
      : hasExpired
        ? "renew the server's certificate"
        : 'wait, or issue the certificate again';
  return failed(text, `${advice}; also check this machine's clock`);
}

/** Patterns for the error code or message of a failed handshake, each with a text and advice. */
const HANDSHAKES = [
  [
    /WRONG_VERSION_NUMBER|packet length too long|HTTP_REQUEST/i,
    'the server does not speak TLS on this port',
    'use the https port, or use http in the URL if the server has no TLS',
  ],
  [
    /PROTOCOL_VERSION|UNSUPPORTED_PROTOCOL|protocol version/i,
    'the server supports neither TLS 1.2 nor TLS 1.3',
    'turn on TLS 1.2 or 1.3 on the server',
  ],
  [
    /CERTIFICATE_REQUIRED|BAD_CERTIFICATE|certificate required/i,
    'the server requires a client certificate',
    'set clientCertificateFile and clientKeyFile',
  ],
  [
    /HANDSHAKE_FAILURE|NO_SHARED_CIPHER|handshake failure/i,
    'the server and this machine have no cipher suite in common, or the server requires a client ' +
      'certificate',
    'offer ECDHE with AES-GCM or ChaCha20-Poly1305 on the server',
  ],
  [
    /ECONNRESET/,
    'the server closed the connection during the handshake',
    'check that this is the https port, and check the gateways in front of the server',
  ],
];

function handshakeFault(error, { redactor, options }) {
  const known = HANDSHAKES.find(([pattern]) => pattern.test(`${error.code} ${error.message}`));
  if (known === undefined) {
    const advice = 'check the server, and the gateways in front of it';
    return failed(faultOf(error, redactor), advice);
  }
  const [, text, advice] = known;
  // The manager presents the client certificate; this step does not.
  const mayBeCertificate = /client certificate/.test(text);
  const hasCertificate = (options.clientCertificate ?? options.clientCertificateFile) !== undefined;
  if (mayBeCertificate && hasCertificate) {
    return warning(
      'the server requires the client certificate, which only the token request presents',
      'see the step "token request"',
    );
  }
  return failed(`${text} (${redactor.show(error.code ?? error.message)})`, advice);
}

module.exports = { steps: [certificates] };
