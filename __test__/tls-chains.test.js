'use strict';

// Certificate chains, each tried with Node's `https` and with a manager. The manager refuses what
// Node refuses, unless the row is `lenient`. A chain that Node accepts yields a token, or an error
// if the row is `stricter`.

const assert = require('node:assert/strict');
const { once } = require('node:events');
const https = require('node:https');
const { after, before, describe, test } = require('node:test');
const { KeycloakTokenManager } = require('..');
const { listen } = require('./support/listen.js');
const { CLIENT, rejection, tokenResponse } = require('./support/manager.js');
const { AUTHORITY, EXPIRED, LEAF, x509 } = require('./support/x509.js');

/** A hanging test must fail. */
const LIMIT_MS = 60_000;
const FUTURE = { from: '20480101000000Z', until: '20491231000000Z' };
const CA = 'basicConstraints=critical,CA:TRUE';

let certificates;
let root;
before(() => {
  certificates = x509();
  root = certificates.issue();
});
after(() => certificates?.remove());

const issue = (options) => certificates.issue(options);
const leaf = (options) => issue({ by: root, ...options });

/** A leaf below a new root of this kind, and the root. */
function below(options, leafOptions) {
  const ca = issue(options);
  return { server: leaf({ ...leafOptions, by: ca }), ca: ca.cert };
}

/** A leaf below an intermediate of this kind, which the server sends. */
function beneath(options, leafOptions) {
  const intermediate = leaf({ extensions: AUTHORITY, ...options });
  const server = leaf({ ...leafOptions, by: intermediate });
  return { server: { ...server, cert: server.cert + intermediate.cert } };
}

const own = (options) => {
  const server = issue(options);
  return { server, ca: server.cert };
};

/** Two roots with the same name and key, one of which has expired. */
function renewed(order) {
  const old = issue({ validity: EXPIRED, subject: '/CN=renewed' });
  const fresh = issue({ sameKeyAs: old, subject: '/CN=renewed' });
  const server = leaf({ by: fresh });
  return { server, ca: order.map((name) => ({ old, fresh })[name].cert).join('') };
}

/** A leaf below an intermediate that two roots certify; the server sends one of the certificates. */
function crossSigned({ trusted, sent }) {
  const other = issue();
  const first = leaf({ extensions: AUTHORITY, subject: '/CN=crossed' });
  const second = issue({
    by: other,
    sameKeyAs: first,
    extensions: AUTHORITY,
    subject: '/CN=crossed',
  });
  const server = leaf({ by: first });
  const chain = sent.map((index) => [first, second][index].cert).join('');
  return { server: { ...server, cert: server.cert + chain }, ca: [root, other][trusted].cert };
}

/** A leaf below this many intermediates, all of which the server sends. */
function long(count, options) {
  let by = root;
  let chain = '';
  for (let index = 0; index < count; index += 1) {
    by = leaf({ by, extensions: AUTHORITY, ...options });
    chain = by.cert + chain;
  }
  const server = leaf({ by });
  return { server: { ...server, cert: server.cert + chain } };
}

/** An intermediate given as `ca`, with or without its root, and a server that sends its leaf only. */
function intermediateTrusted({ isSent, withRoot }) {
  const intermediate = leaf({ extensions: AUTHORITY });
  const server = leaf({ by: intermediate });
  const cert = isSent ? server.cert + intermediate.cert : server.cert;
  const ca = withRoot ? intermediate.cert + root.cert : intermediate.cert;
  return { server: { ...server, cert }, ca };
}

const wide = `subjectAltName=${Array.from({ length: 4_000 }, (_, index) => `DNS:host-${index}.example`).join(',')},DNS:localhost`;

// OpenSSL tries only one of the two certificates; the chain through the other one is valid.
const OTHER_PATH = { lenient: 'UNABLE_TO_GET_ISSUER_CERT_LOCALLY' };

// [name, how the chain is made, result of the manager: 'token', or the error if Node refuses too;
// `stricter` is the error if only the manager refuses, `lenient` Node's code if only Node does]
const ROWS = [
  ['an ordinary leaf', () => ({ server: leaf() }), 'token'],
  ['a root of version 1', () => below({ extensions: '' }), 'token'],
  [
    'a root without basicConstraints',
    () => below({ extensions: 'subjectKeyIdentifier=hash' }),
    /CA:TRUE/,
  ],
  [
    'a root without basicConstraints that may sign',
    () => below({ extensions: 'keyUsage=keyCertSign' }),
    'token',
  ],
  ['a root with CA:FALSE', () => below({ extensions: 'basicConstraints=CA:FALSE' }), /CA:TRUE/],
  [
    'a root that may not sign',
    () => below({ extensions: `${CA}\nkeyUsage=digitalSignature` }),
    /keyCertSign/,
  ],
  [
    'a root for clients',
    () => below({ extensions: `${AUTHORITY}\nextendedKeyUsage=clientAuth` }),
    /not for servers/,
  ],
  [
    'a root for servers',
    () => below({ extensions: `${AUTHORITY}\nextendedKeyUsage=serverAuth` }),
    'token',
  ],
  [
    'an expired root',
    () => below({ validity: EXPIRED }),
    /authority has expired: replace it in `ca`/,
  ],
  ['a root that is not valid yet', () => below({ validity: FUTURE }), /not valid yet/],
  ['a renewed root after the old one', () => renewed(['old', 'fresh']), 'token'],
  ['a renewed root before the old one', () => renewed(['fresh', 'old']), 'token'],
  ['only the old certificate of a renewed root', () => renewed(['old']), /authority has expired/],
  [
    'a root with an unknown critical extension',
    () => below({ extensions: `${AUTHORITY}\n1.2.3.4=critical,ASN1:NULL` }),
    /critical extension/,
  ],
  [
    'a root with critical certificatePolicies',
    () => below({ extensions: `${AUTHORITY}\ncertificatePolicies=critical,1.2.3.4` }),
    'token',
  ],
  ['a root of P-384', () => below({ key: 'P-384', sign: '-sha384' }), 'token'],
  ['a root of Ed25519', () => below({ key: 'Ed25519', sign: '' }, { sign: '' }), 'token'],
  ['a root of RSA, SHA-512', () => below({ key: 'RSA 2048' }, { sign: '-sha512' }), 'token'],
  ['a root of RSA with exponent 3', () => below({ key: 'RSA 2048 with exponent 3' }), 'token'],
  [
    'a signature by RSA-PSS',
    () =>
      below(
        { key: 'RSA 2048' },
        { sign: '-sha256 -sigopt rsa_padding_mode:pss -sigopt rsa_pss_saltlen:32' },
      ),
    'token',
  ],
  [
    'SHA-1',
    () => ({
      ...below({ key: 'RSA 2048' }, { sign: '-sha1' }),
      settings: { ciphers: 'DEFAULT@SECLEVEL=0' },
    }),
    /./,
  ],
  [
    'a leaf of RSA 1024',
    () => ({ server: leaf({ key: 'RSA 1024' }) }),
    { stricter: /RSA key of less than 2048 or more than 8192 bits/ },
  ],
  [
    'a root of RSA 1024',
    () => below({ key: 'RSA 1024' }),
    { stricter: /RSA key of less than 2048 or more than 8192 bits/ },
  ],
  [
    'a pathlen that suffices',
    () => {
      const ca = issue({ extensions: `${CA},pathlen:1` });
      const intermediate = leaf({ by: ca, extensions: AUTHORITY });
      const server = leaf({ by: intermediate });
      return { server: { ...server, cert: server.cert + intermediate.cert }, ca: ca.cert };
    },
    'token',
  ],
  [
    'a pathlen of the root that does not suffice',
    () => {
      const ca = issue({ extensions: `${CA},pathlen:0` });
      const intermediate = leaf({ by: ca, extensions: AUTHORITY });
      const server = leaf({ by: intermediate });
      return { server: { ...server, cert: server.cert + intermediate.cert }, ca: ca.cert };
    },
    /pathlen/,
  ],
  [
    'name constraints of the root that permit',
    () =>
      below({
        extensions: `${AUTHORITY}\nnameConstraints=permitted;DNS:localhost,permitted;IP:127.0.0.1/255.255.255.255`,
      }),
    'token',
  ],
  [
    'name constraints of the root that exclude',
    () => below({ extensions: `${AUTHORITY}\nnameConstraints=excluded;DNS:localhost` }),
    /./,
  ],
  ['an intermediate', () => beneath(), 'token'],
  [
    'an intermediate that may not sign',
    () => beneath({ extensions: `${CA}\nkeyUsage=digitalSignature` }),
    /keyCertSign/,
  ],
  ['an intermediate without keyUsage', () => beneath({ extensions: CA }), 'token'],
  [
    'an intermediate without basicConstraints',
    () => beneath({ extensions: 'keyUsage=keyCertSign' }),
    /./,
  ],
  [
    'an intermediate with CA:FALSE',
    () => beneath({ extensions: 'basicConstraints=CA:FALSE' }),
    /./,
  ],
  ['an intermediate of version 1', () => beneath({ extensions: '' }), /./],
  [
    'an intermediate for clients',
    () => beneath({ extensions: `${AUTHORITY}\nextendedKeyUsage=clientAuth` }),
    /./,
  ],
  ['an expired intermediate', () => beneath({ validity: EXPIRED }), /expired/],
  ['20 intermediates', () => long(20), { stricter: /more than six intermediate certificates/ }],
  ['6 intermediates', () => long(6), 'token'],
  ['a cross-signed intermediate', () => crossSigned({ trusted: 0, sent: [0] }), 'token'],
  [
    'both certificates of a cross-signed intermediate, the first root trusted',
    () => crossSigned({ trusted: 0, sent: [1, 0] }),
    OTHER_PATH,
  ],
  [
    'both certificates of a cross-signed intermediate, the second root trusted',
    () => crossSigned({ trusted: 1, sent: [0, 1] }),
    OTHER_PATH,
  ],
  [
    'the other certificate of a cross-signed intermediate',
    () => crossSigned({ trusted: 0, sent: [1] }),
    /unknown issuer/,
  ],
  [
    'a trusted intermediate without its root',
    () => intermediateTrusted({ isSent: true }),
    /only an intermediate authority is trusted/,
  ],
  [
    'a trusted intermediate without its root, which the server does not send',
    () => intermediateTrusted({ isSent: false }),
    /only an intermediate authority is trusted/,
  ],
  [
    'a trusted intermediate with its root, which the server does not send',
    () => intermediateTrusted({ withRoot: true }),
    'token',
  ],
  ['a self-signed leaf', () => own({ extensions: LEAF }), 'token'],
  [
    'a self-signed leaf with CA:FALSE',
    () => own({ extensions: `${LEAF}\nbasicConstraints=CA:FALSE` }),
    'token',
  ],
  ['a self-signed leaf with CA:TRUE', () => own({ extensions: `${LEAF}\n${CA}` }), 'token'],
  [
    'a self-signed leaf that may only sign certificates',
    () => own({ extensions: `${LEAF}\n${AUTHORITY}` }),
    /keyUsage is not that of a server/,
  ],
  [
    'a self-signed leaf for clients',
    () => own({ extensions: `${LEAF}\nextendedKeyUsage=clientAuth` }),
    /./,
  ],
  [
    'a self-signed leaf with CA:TRUE for clients',
    () => own({ extensions: `${LEAF}\n${CA}\nextendedKeyUsage=clientAuth` }),
    /not for servers/,
  ],
  [
    'a self-signed leaf with CA:TRUE for any purpose',
    () => own({ extensions: `${LEAF}\n${CA}\nextendedKeyUsage=anyExtendedKeyUsage` }),
    /not for servers/,
  ],
  [
    'a self-signed leaf with nsCertType client',
    () => own({ extensions: `${LEAF}\nnsCertType=client` }),
    /not for servers/,
  ],
  [
    'a leaf with nsCertType client',
    () => ({ server: leaf({ extensions: `${LEAF}\nnsCertType=client` }) }),
    /not for servers/,
  ],
  [
    'a leaf with nsCertType server',
    () => ({ server: leaf({ extensions: `${LEAF}\nnsCertType=server` }) }),
    'token',
  ],
  [
    'a root whose new certificate is signed with its old key, without the old one',
    () => {
      const ids = 'subjectKeyIdentifier=hash\nauthorityKeyIdentifier=keyid';
      const extensions = `${AUTHORITY}\n${ids}`;
      const old = issue({ extensions, subject: '/CN=new-with-old' });
      const fresh = issue({ by: old, isOwn: true, extensions, subject: '/CN=new-with-old' });
      return { server: leaf({ by: fresh }), ca: fresh.cert };
    },
    /only an intermediate authority is trusted/,
  ],
  [
    'a root with pathlen 0 before the same root without, above an intermediate',
    () => {
      const subject = '/CN=twice';
      const narrow = issue({
        subject,
        extensions: `${AUTHORITY},pathlen:0`.replace(/(CA:TRUE)(.*),pathlen:0/s, '$1,pathlen:0$2'),
      });
      const root = issue({ subject, sameKeyAs: narrow });
      const intermediate = leaf({ by: root, extensions: AUTHORITY });
      const server = leaf({ by: intermediate });
      const cert = server.cert + intermediate.cert;
      return { server: { ...server, cert }, ca: narrow.cert + root.cert };
    },
    /pathlen/,
  ],
  ['an expired self-signed leaf', () => own({ extensions: LEAF, validity: EXPIRED }), /expired/],
  [
    'a self-signed leaf that was renewed with the same key',
    () => {
      const old = issue({ extensions: LEAF, subject: '/CN=alone', isOwn: true });
      const server = issue({ extensions: LEAF, subject: '/CN=alone', sameKeyAs: old });
      return { server, ca: old.cert };
    },
    /./,
  ],
  [
    'a self-signed leaf with CA:TRUE that was renewed with the same key',
    () => {
      const extensions = `${LEAF}\n${CA}`;
      const old = issue({ extensions, subject: '/CN=alone' });
      return { server: issue({ extensions, subject: '/CN=alone', sameKeyAs: old }), ca: old.cert };
    },
    /./,
  ],
  [
    'a leaf that is given as `ca` without its root',
    () => {
      const server = leaf();
      return { server, ca: server.cert };
    },
    /./,
  ],
  [
    'a leaf with CA:TRUE',
    () => ({ server: leaf({ extensions: `${LEAF}\n${CA}` }) }),
    { stricter: /marked as an authority/ },
  ],
  [
    'a leaf that may only sign certificates',
    () => ({ server: leaf({ extensions: `${LEAF}\nkeyUsage=keyCertSign` }) }),
    /keyUsage is not that of a server/,
  ],
  [
    'a leaf with keyUsage digitalSignature',
    () => ({ server: leaf({ extensions: `${LEAF}\nkeyUsage=digitalSignature` }) }),
    'token',
  ],
  [
    'an RSA leaf with keyUsage keyEncipherment',
    () => ({ server: leaf({ key: 'RSA 2048', extensions: `${LEAF}\nkeyUsage=keyEncipherment` }) }),
    'token',
  ],
  [
    'an RSA leaf with keyUsage keyEncipherment over TLS 1.2',
    () => ({
      server: leaf({ key: 'RSA 2048', extensions: `${LEAF}\nkeyUsage=keyEncipherment` }),
      settings: { maxVersion: 'TLSv1.2' },
    }),
    'token',
  ],
  [
    'an EC leaf with keyUsage keyAgreement',
    () => ({ server: leaf({ extensions: `${LEAF}\nkeyUsage=keyAgreement` }) }),
    'token',
  ],
  [
    'an EC leaf with keyUsage keyAgreement over TLS 1.2',
    () => ({
      server: leaf({ extensions: `${LEAF}\nkeyUsage=keyAgreement` }),
      settings: { maxVersion: 'TLSv1.2' },
    }),
    /./,
  ],
  [
    'a leaf with keyUsage decipherOnly',
    () => ({ server: leaf({ extensions: `${LEAF}\nkeyUsage=decipherOnly` }) }),
    /keyUsage/,
  ],
  [
    'a leaf for servers and clients',
    () => ({ server: leaf({ extensions: `${LEAF}\nextendedKeyUsage=clientAuth,serverAuth` }) }),
    'token',
  ],
  [
    'a leaf for any purpose',
    () => ({ server: leaf({ extensions: `${LEAF}\nextendedKeyUsage=anyExtendedKeyUsage` }) }),
    /./,
  ],
  [
    'a leaf for code signing',
    () => ({ server: leaf({ extensions: `${LEAF}\nextendedKeyUsage=codeSigning` }) }),
    /./,
  ],
  ['an expired leaf', () => ({ server: leaf({ validity: EXPIRED }) }), /expired/],
  ['a leaf that is not valid yet', () => ({ server: leaf({ validity: FUTURE }) }), /not valid yet/],
  ['a serial number of zero', () => ({ server: leaf({ serial: '0' }) }), 'token'],
  ['a negative serial number', () => ({ server: leaf({ serial: '-5' }) }), 'token'],
  [
    'a serial number of 21 bytes',
    () => ({ server: leaf({ serial: `0x${'7f'.repeat(21)}` }) }),
    'token',
  ],
  [
    'a serial number of 40 bytes',
    () => ({ server: leaf({ serial: `0x${'7f'.repeat(40)}` }) }),
    'token',
  ],
  ['a root with a negative serial number', () => below({ serial: '-5' }), 'token'],
  [
    'a critical subjectAltName',
    () => ({ server: leaf({ extensions: LEAF.replace('=', '=critical,') }) }),
    'token',
  ],
  [
    'a critical extendedKeyUsage',
    () => ({ server: leaf({ extensions: `${LEAF}\nextendedKeyUsage=critical,serverAuth` }) }),
    'token',
  ],
  [
    'a certificate of 80 KB',
    () => ({ server: leaf({ extensions: wide }) }),
    { stricter: /larger than 64 KiB/ },
  ],
  [
    'an IP address that is not that of the server',
    () => ({ server: leaf({ extensions: 'subjectAltName=IP:127.0.0.2' }) }),
    /127\.0\.0\.2/,
  ],
  [
    'a wildcard for the only label',
    () => ({ server: leaf({ extensions: 'subjectAltName=DNS:*' }) }),
    /./,
  ],
  [
    'a subjectAltName for another name beside a common name that fits',
    () => ({
      server: leaf({ subject: '/CN=localhost', extensions: 'subjectAltName=DNS:a.example' }),
    }),
    /a\.example/,
  ],
];

/** What Node's `https` does: 'token', or the code of its error. */
async function askNode(url, ca) {
  const request = https.request(url, { ca, agent: false, method: 'POST' });
  request.end('grant_type=client_credentials');
  try {
    const [response] = await once(request, 'response');
    await once(response.resume(), 'end');
    return 'token';
  } catch (error) {
    return error.code ?? error.message;
  }
}

async function serve(t, { key, cert }, settings) {
  const server = https.createServer({ key, cert, ...settings }, (request, response) => {
    request.resume().on('end', () => response.end(JSON.stringify(tokenResponse('token-1', 300))));
  });
  const { port } = await listen(t, server);
  return `https://localhost:${port}/token`;
}

describe('a server with', { timeout: LIMIT_MS }, () => {
  for (const [name, make, expected] of ROWS) {
    test(name, async (t) => {
      const { server, ca = root.cert, settings } = make();
      const tokenEndpoint = await serve(t, server, settings);
      const byNode = await askNode(tokenEndpoint, ca);
      const manager = new KeycloakTokenManager({ ...CLIENT, tokenEndpoint, ca });
      t.after(() => manager.close());
      const { stricter, lenient } = expected;
      if (expected === 'token' || lenient) {
        assert.equal(byNode, lenient ?? 'token', 'Node');
        assert.equal(await manager.getToken(), 'token-1');
        return;
      }
      const { message } = await rejection(manager.getToken(), 'ERR_KEYCLOAK_TLS');
      assert.match(message, stricter ?? expected);
      if (stricter) {
        assert.equal(byNode, 'token', 'Node');
        assert.match(message, /set tokenFetch: true/);
      } else {
        assert.notEqual(byNode, 'token', 'Node');
      }
    });
  }
});
