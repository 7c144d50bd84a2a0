'use strict';

// Servers with unusual certificates and TLS settings. The test connects to each with Node's `https`
// and with a manager. The manager refuses a server that Node refuses, unless the row is `lenient`,
// and gets a token from a server that Node accepts, unless the row is `stricter`. In a `stricter`
// row, the error names the cause and `tokenFetch`, and the manager gets a token with `tokenFetch`.

const assert = require('node:assert/strict');
const { SSL_OP_NO_TICKET } = require('node:constants');
const { describe, test } = require('node:test');
const undici = require('undici');
const { AUTHORITY, EXPIRED, LEAF, makeCertificates } = require('../tools/certificates.js');
const { startApi } = require('./support/api-server.js');
const { openManager, rejection, tokenJson } = require('./support/manager.js');
const { httpsPost } = require('./support/token-requests.js');

/** A hanging test must fail. */
const LIMIT_MS = 300_000;
const FUTURE = { from: '20480101000000Z', until: '20491231000000Z' };
const CA = 'basicConstraints=critical,CA:TRUE';
const NO_SIGN = `${CA}\nkeyUsage=digitalSignature`;
const OTHER_NAME = 'subjectAltName=DNS:a.example';
const CLIENTS = 'extendedKeyUsage=clientAuth';
const ANY = 'extendedKeyUsage=anyExtendedKeyUsage';
const UNKNOWN = '1.2.3.4=critical,ASN1:NULL';
const POLICIES = 'certificatePolicies=critical,1.2.3.4';

const { ca: root, issue } = makeCertificates();

/** A server that sends its certificate and those above it. */
const sending = (server, ...above) => ({
  ...server,
  cert: [server, ...above].map(({ cert }) => cert).join(''),
});

const leaf = (options) => () => ({ server: issue({ by: root, ...options }) });
const leafWith = (extensions) => leaf({ extensions: `${LEAF}\n${extensions}` });
const rsaLeaf = { key: 'RSA 2048', extensions: `${LEAF}\nkeyUsage=keyEncipherment` };

/** A leaf below a chain of authorities, of which the server sends all but the first. */
const chain = (authorities, leafOptions) => () => {
  const issued = [];
  for (const options of authorities) {
    issued.push(issue({ by: issued.at(-1), extensions: AUTHORITY, ...options }));
  }
  const server = issue({ by: issued.at(-1), ...leafOptions });
  const [first, ...sent] = issued;
  return { server: sending(server, ...sent.reverse()), ca: first.cert };
};
const below = (options, leafOptions) => chain([options], leafOptions);
const belowWith = (extensions) => below({ extensions: `${AUTHORITY}\n${extensions}` });
const beneath = (options, leafOptions) => chain([{}, options], leafOptions);
const beneathWith = (extensions) => beneath({ extensions: `${AUTHORITY}\n${extensions}` });

const own = (options) => () => {
  const server = issue(options);
  return { server, ca: server.cert };
};
const ownWith = (extensions) => own({ extensions: `${LEAF}\n${extensions}` });

/** A self-signed leaf. The manager trusts a former certificate with the same key. */
const ownRenewed = (extensions) => () => {
  const old = issue({ extensions, subject: '/CN=alone' });
  return { server: issue({ extensions, subject: '/CN=alone', sameKeyAs: old }), ca: old.cert };
};

/** Two roots with the same name and key, one of which has expired. */
const renewed = (order) => () => {
  const old = issue({ validity: EXPIRED, subject: '/CN=renewed' });
  const fresh = issue({ sameKeyAs: old, subject: '/CN=renewed' });
  return {
    ...leaf({ by: fresh })(),
    ca: order.map((name) => ({ old, fresh })[name].cert).join(''),
  };
};

/** A leaf below an intermediate that two roots certify. The manager trusts one of the roots. */
const crossSigned =
  ({ trusted, sent }) =>
  () => {
    const other = issue();
    const subject = '/CN=crossed';
    const first = issue({ by: root, extensions: AUTHORITY, subject });
    const second = issue({ by: other, sameKeyAs: first, extensions: AUTHORITY, subject });
    const server = issue({ by: first });
    const above = sent.map((index) => [first, second][index]);
    return { server: sending(server, ...above), ca: [root, other][trusted].cert };
  };

/**
 * An intermediate authority and a server below it. The server may send the intermediate, and the
 * manager trusts the named certificates.
 */
const intermediate =
  ({ isSent, trusts }) =>
  () => {
    const middle = issue({ by: root, extensions: AUTHORITY });
    const server = issue({ by: middle });
    const ca = trusts.map((name) => ({ root, middle, server })[name].cert).join('');
    return { server: isSent ? sending(server, middle) : server, ca };
  };

/** A root's new certificate, signed with its old key. The manager trusts only this certificate. */
function newWithOld() {
  const ids = 'subjectKeyIdentifier=hash\nauthorityKeyIdentifier=keyid';
  const options = { extensions: `${AUTHORITY}\n${ids}`, subject: '/CN=new-with-old' };
  const fresh = issue({ by: issue(options), ...options });
  return { ...leaf({ by: fresh })(), ca: fresh.cert };
}

/** A root whose first certificate permits no intermediate, and whose second sets no limit. */
function twice() {
  const subject = '/CN=twice';
  const narrow = issue({ subject, extensions: AUTHORITY.replace(CA, `${CA},pathlen:0`) });
  const wide = issue({ subject, sameKeyAs: narrow });
  const middle = issue({ by: wide, extensions: AUTHORITY });
  return { server: sending(issue({ by: middle }), middle), ca: narrow.cert + wide.cert };
}

const names = Array.from({ length: 4_000 }, (_, index) => `DNS:host-${index}.example`);
const with80Kb = { extensions: `subjectAltName=${names},DNS:localhost` };
const commonName = { subject: '/CN=localhost', extensions: 'basicConstraints=CA:FALSE' };
const pss = '-sha256 -sigopt rsa_padding_mode:pss -sigopt rsa_pss_saltlen:32';
const permitted = 'nameConstraints=permitted;DNS:localhost,permitted;IP:127.0.0.1/255.255.255.255';
const excluded = 'nameConstraints=critical,excluded;DNS:localhost';

const old = { maxVersion: 'TLSv1.2' };
const ancient = { minVersion: 'TLSv1.1', maxVersion: 'TLSv1.1', ciphers: 'ALL:@SECLEVEL=0' };

// OpenSSL tries only one of the two certificates; the other certificate makes a valid chain.
const OTHER_PATH = { lenient: 'UNABLE_TO_GET_ISSUER_CERT_LOCALLY' };
const WEAK = { stricter: /RSA key of fewer than 2048 or more than 8192 bits/ };
const HANDSHAKE = { stricter: /refused the handshake: HandshakeFailure; .+P-521/ };
const VERSION_1 = { stricter: /is not an X\.509 version 3 certificate/ };
const EXTENSION = { stricter: /critical extension that this client does not support/ };
const SIGNATURE = {
  stricter: /signature that this client does not support, such as ECDSA with SHA-/,
};
const KEY_USAGE = /keyUsage does not fit a server/;
const ONLY_INTERMEDIATE = /only an intermediate authority is trusted/;

// [the name, a function that makes the chain, the manager's result, the server's TLS settings]. The
// result is 'token', or the manager's error if Node refuses too; `stricter` is the error if only
// the manager refuses, and `lenient` is Node's code if only Node refuses.
const ROWS = [
  ['an ordinary leaf', leaf(), 'token'],
  ['a root of version 1', below({ extensions: '' }), 'token'],
  ['a root without CA:TRUE', below({ extensions: 'subjectKeyIdentifier=hash' }), /CA:TRUE/],
  ['a root with only keyUsage keyCertSign', below({ extensions: 'keyUsage=keyCertSign' }), 'token'],
  ['a root with CA:FALSE', below({ extensions: 'basicConstraints=CA:FALSE' }), /CA:TRUE/],
  ['a root that may not sign', below({ extensions: NO_SIGN }), /keyCertSign/],
  ['a root for clients', belowWith(CLIENTS), /not for servers/],
  ['a root for servers', belowWith('extendedKeyUsage=serverAuth'), 'token'],
  ['an expired root', below({ validity: EXPIRED }), /authority has expired; replace it in ca/],
  ['a root that is not valid yet', below({ validity: FUTURE }), /not valid yet/],
  ['a renewed root after the old one', renewed(['old', 'fresh']), 'token'],
  ['a renewed root before the old one', renewed(['fresh', 'old']), 'token'],
  ['only the old certificate of a renewed root', renewed(['old']), /authority has expired/],
  ['a root signed with its old key, without the old root', newWithOld, ONLY_INTERMEDIATE],
  ['a root with an unknown critical extension', belowWith(UNKNOWN), /critical/],
  ['a root with critical certificatePolicies', belowWith(POLICIES), 'token'],
  ['a P-384 root', below({ key: 'P-384', sign: '-sha384' }), 'token'],
  ['an Ed25519 root', below({ key: 'Ed25519', sign: '' }, { sign: '' }), 'token'],
  ['an RSA root, SHA-512', below({ key: 'RSA 2048' }, { sign: '-sha512' }), 'token'],
  ['an RSA root with exponent 3', below({ key: 'RSA 2048 with exponent 3' }), 'token'],
  ['a 1024-bit RSA root', below({ key: 'RSA 1024' }), WEAK],
  ['an RSA-PSS signature', below({ key: 'RSA 2048' }, { sign: pss }), 'token'],
  ['SHA-1', below({ key: 'RSA 2048' }, { sign: '-sha1' }), /./, { ciphers: 'DEFAULT@SECLEVEL=0' }],
  ['a pathlen that suffices', chain([{ extensions: `${CA},pathlen:1` }, {}]), 'token'],
  ['a pathlen that does not suffice', chain([{ extensions: `${CA},pathlen:0` }, {}]), /pathlen/],
  ['the same root with and without pathlen 0', twice, /pathlen/],
  ['name constraints of the root that permit the server', belowWith(permitted), 'token'],
  ['name constraints of the root that exclude the server', belowWith(excluded), /./],
  ['an unknown authority', () => ({ ...leaf()(), ca: issue().cert }), /unknown issuer/],
  ['an intermediate', beneath(), 'token'],
  [
    'an intermediate that the server does not send',
    intermediate({ trusts: ['root'] }),
    /unknown issuer/,
  ],
  ['an intermediate that may not sign', beneath({ extensions: NO_SIGN }), /keyCertSign/],
  ['an intermediate without keyUsage', beneath({ extensions: CA }), 'token'],
  ['an intermediate without CA:TRUE', beneath({ extensions: 'keyUsage=keyCertSign' }), /./],
  ['an intermediate with CA:FALSE', beneath({ extensions: 'basicConstraints=CA:FALSE' }), /./],
  ['an intermediate of version 1', beneath({ extensions: '' }), /./],
  ['an intermediate for clients', beneathWith(CLIENTS), /./],
  ['an intermediate with critical certificatePolicies', beneathWith(POLICIES), EXTENSION],
  ['name constraints of the intermediate that permit the server', beneathWith(permitted), 'token'],
  ['name constraints of the intermediate that exclude the server', beneathWith(excluded), /./],
  ['an expired intermediate', beneath({ validity: EXPIRED }), /expired/],
  ['a P-384 intermediate', beneath({ key: 'P-384' }), 'token'],
  ['a P-521 intermediate', beneath({ key: 'P-521' }), SIGNATURE],
  ['an intermediate with a key for RSA-PSS', beneath({ key: 'RSA-PSS' }), SIGNATURE],
  ['6 intermediates', chain(Array(7).fill({})), 'token'],
  ['20 intermediates', chain(Array(21).fill({})), { stricter: /more than six intermediate/ }],
  ['a cross-signed intermediate', crossSigned({ trusted: 0, sent: [0] }), 'token'],
  [
    'both cross-signed intermediates, with the first root trusted',
    crossSigned({ trusted: 0, sent: [1, 0] }),
    OTHER_PATH,
  ],
  [
    'both cross-signed intermediates, with the second root trusted',
    crossSigned({ trusted: 1, sent: [0, 1] }),
    OTHER_PATH,
  ],
  [
    'a cross-signed intermediate of another root',
    crossSigned({ trusted: 0, sent: [1] }),
    /unknown issuer/,
  ],
  ['no trusted root', intermediate({ isSent: true, trusts: ['middle'] }), ONLY_INTERMEDIATE],
  [
    'no trusted root, and no intermediate from the server',
    intermediate({ trusts: ['middle'] }),
    ONLY_INTERMEDIATE,
  ],
  ['an intermediate and its root trusted', intermediate({ trusts: ['middle', 'root'] }), 'token'],
  ['a leaf that is given as `ca` without its root', intermediate({ trusts: ['server'] }), /./],
  ['a self-signed leaf', own({ extensions: LEAF }), 'token'],
  ['a self-signed leaf with CA:FALSE', ownWith('basicConstraints=CA:FALSE'), 'token'],
  ['a self-signed leaf with CA:TRUE', ownWith(CA), 'token'],
  ['a self-signed leaf that may only sign', ownWith(AUTHORITY), KEY_USAGE],
  ['a self-signed leaf for clients', ownWith(CLIENTS), /./],
  ['a self-signed leaf with CA:TRUE for clients', ownWith(`${CA}\n${CLIENTS}`), /not for servers/],
  ['a self-signed leaf with CA:TRUE for any purpose', ownWith(`${CA}\n${ANY}`), /not for servers/],
  ['a self-signed leaf with nsCertType client', ownWith('nsCertType=client'), /not for servers/],
  ['an expired self-signed leaf', own({ extensions: LEAF, validity: EXPIRED }), /expired/],
  ['a self-signed leaf that was renewed', ownRenewed(LEAF), /./],
  ['a self-signed leaf with CA:TRUE that was renewed', ownRenewed(`${LEAF}\n${CA}`), /./],
  ['a leaf with nsCertType client', leafWith('nsCertType=client'), /not for servers/],
  ['a leaf with nsCertType server', leafWith('nsCertType=server'), 'token'],
  ['a leaf with CA:TRUE', leafWith(CA), { stricter: /marked as an authority/ }],
  ['a leaf that may only sign', leafWith('keyUsage=keyCertSign'), KEY_USAGE],
  ['a leaf with keyUsage digitalSignature', leafWith('keyUsage=digitalSignature'), 'token'],
  ['an RSA leaf with keyEncipherment', leaf(rsaLeaf), 'token'],
  ['an RSA leaf with keyEncipherment over TLS 1.2', leaf(rsaLeaf), 'token', old],
  ['an EC leaf with keyAgreement', leafWith('keyUsage=keyAgreement'), 'token'],
  ['an EC leaf with keyAgreement over TLS 1.2', leafWith('keyUsage=keyAgreement'), /./, old],
  ['a leaf with keyUsage decipherOnly', leafWith('keyUsage=decipherOnly'), /keyUsage/],
  ['a leaf for servers and clients', leafWith('extendedKeyUsage=clientAuth,serverAuth'), 'token'],
  ['a leaf for clients', leafWith(CLIENTS), /./],
  ['a leaf for any purpose', leafWith(ANY), /./],
  ['a leaf for code signing', leafWith('extendedKeyUsage=codeSigning'), /./],
  ['an expired leaf', leaf({ validity: EXPIRED }), /expired/],
  ['a leaf that is not valid yet', leaf({ validity: FUTURE }), /not valid yet/],
  ['a P-384 leaf', leaf({ key: 'P-384' }), 'token'],
  ['a P-521 leaf', leaf({ key: 'P-521' }), HANDSHAKE],
  ['an Ed25519 leaf', leaf({ key: 'Ed25519' }), 'token'],
  ['an RSA leaf', leaf({ key: 'RSA 2048' }), 'token'],
  ['a 1024-bit RSA leaf', leaf({ key: 'RSA 1024' }), WEAK],
  ['a leaf with a key for RSA-PSS', leaf({ key: 'RSA-PSS' }), HANDSHAKE],
  ['ECDSA by P-256 with SHA-384', leaf({ sign: '-sha384' }), 'token'],
  ['ECDSA by P-256 with SHA-512', leaf({ sign: '-sha512' }), SIGNATURE],
  ['a leaf of version 1', leaf({ ...commonName, extensions: '' }), VERSION_1],
  ['a common name only', leaf(commonName), { stricter: /no subjectAltName, .+ for "localhost"/ }],
  ['a serial number of zero', leaf({ serial: '0' }), 'token'],
  ['a negative serial number', leaf({ serial: '-5' }), 'token'],
  ['a serial number of 21 bytes', leaf({ serial: `0x${'7f'.repeat(21)}` }), 'token'],
  ['a serial number of 40 bytes', leaf({ serial: `0x${'7f'.repeat(40)}` }), 'token'],
  ['a root with a negative serial number', below({ serial: '-5' }), 'token'],
  ['a critical subjectAltName', leaf({ extensions: LEAF.replace('=', '=critical,') }), 'token'],
  ['a critical extendedKeyUsage', leafWith('extendedKeyUsage=critical,serverAuth'), 'token'],
  ['a leaf with critical certificatePolicies', leafWith(POLICIES), EXTENSION],
  ['a leaf with an unknown critical extension', leafWith(UNKNOWN), /./],
  ['a certificate of 80 KB', leaf(with80Kb), { stricter: /larger than 64 KiB/ }],
  ['another IP address', leaf({ extensions: 'subjectAltName=IP:127.0.0.2' }), /127\.0\.0\.2/],
  ['a wildcard for the only label', leaf({ extensions: 'subjectAltName=DNS:*' }), /./],
  [
    'a matching common name beside another subjectAltName',
    leaf({ ...commonName, extensions: OTHER_NAME }),
    /a\.example/,
  ],
  ['TLS 1.2 only', leaf(), 'token', old],
  ['TLS 1.1 only', leaf(), /neither TLS 1\.2 nor TLS 1\.3/, ancient],
  ['no session tickets', leaf(), 'token', { secureOptions: SSL_OP_NO_TICKET }],
  ['RSA key exchange only', leaf(rsaLeaf), HANDSHAKE, { ...old, ciphers: 'AES128-GCM-SHA256' }],
  ['CBC cipher suites only', leaf(), HANDSHAKE, { ...old, ciphers: 'ECDHE-ECDSA-AES128-SHA' }],
];

describe('the manager and Node judge a server with', { timeout: LIMIT_MS }, () => {
  for (const [name, make, expected, settings] of ROWS) {
    test(name, async (t) => {
      const { server, ca = root.cert } = make();
      const { key, cert } = server;
      const { port } = await startApi(t, () => tokenJson(), { tls: { key, cert, ...settings } });
      const tokenEndpoint = `https://localhost:${port}/token`;
      const byNode = await httpsPost(tokenEndpoint, ca);
      const call = openManager(t, { tokenEndpoint, ca }).getToken();
      const { stricter, lenient } = expected;
      if (expected === 'token' || lenient) {
        assert.equal(await call, 'token-1');
        assert.equal(byNode, lenient ?? 200, 'Node');
        return;
      }
      const { message } = await rejection(call, 'ERR_KEYCLOAK_TLS');
      assert.match(message, stricter ?? expected);
      assert.equal(byNode === 200, stricter !== undefined, `Node: ${byNode}`);
      if (stricter === undefined) return;
      assert.match(message, /set tokenFetch: true/);
      const dispatcher = new undici.Agent({ connect: { ca } });
      t.after(() => dispatcher.close());
      const tokenFetch = (url, init) => undici.fetch(url, { ...init, dispatcher });
      assert.equal(await openManager(t, { tokenEndpoint, tokenFetch }).getToken(), 'token-1');
    });
  }
});
