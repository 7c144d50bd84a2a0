'use strict';

// Tests every authentication method with a certified OAuth server other than Keycloak, so that the
// requests follow the standards and not only the habits of one server.

const assert = require('node:assert/strict');
const { generateKeyPairSync, randomBytes } = require('node:crypto');
const https = require('node:https');
const { after, before, describe, mock, test } = require('node:test');
const { inspect } = require('node:util');
const { makeCertificates } = require('../tools/certificates.js');
const { jwkOf } = require('./support/jwk.js');
const { listen } = require('./support/listen.js');
const { openManager, recorder, rejection } = require('./support/manager.js');

/** Characters that a form, a header and a URL treat in different ways. */
const SECRET = 's3cr+t%/: long enough for every algorithm of HMAC, that is 64 bytes';

const KEYS = {
  RS256: generateKeyPairSync('rsa', { modulusLength: 2048 }),
  PS256: generateKeyPairSync('rsa', { modulusLength: 2048 }),
  ES256: generateKeyPairSync('ec', { namedCurve: 'P-256' }),
  ES384: generateKeyPairSync('ec', { namedCurve: 'P-384' }),
  EdDSA: generateKeyPairSync('ed25519'),
};

const pem = ({ privateKey }) => privateKey.export({ type: 'pkcs8', format: 'pem' });

/** Authentication with a secret. */
const bySecret = (name, algorithm) => ({
  name,
  algorithm,
  client: { client_secret: SECRET },
  options: { clientSecret: SECRET, clientAuthentication: name, signingAlgorithm: algorithm },
});

/** `client` is the client's registration at the server; `options` are the manager's options. */
const METHODS = [
  bySecret('client_secret_post'),
  bySecret('client_secret_basic'),
  bySecret('client_secret_jwt', 'HS256'),
  bySecret('client_secret_jwt', 'HS512'),
  ...Object.entries(KEYS).map(([algorithm, pair]) => ({
    name: 'private_key_jwt',
    algorithm,
    client: { jwks: { keys: [{ ...jwkOf(pair.publicKey), kid: 'a-key' }] } },
    options: { privateKey: pem(pair), signingAlgorithm: algorithm, keyId: 'a-key' },
  })),
];

function clientOf({ name, algorithm, client }) {
  return {
    client_id: algorithm ? `${name} ${algorithm}` : name,
    token_endpoint_auth_method: name,
    ...(algorithm && { token_endpoint_auth_signing_alg: algorithm }),
    grant_types: ['client_credentials'],
    redirect_uris: [],
    response_types: [],
    ...client,
  };
}

const isEs256 = ({ algorithm }) => algorithm === 'ES256';

const CERTIFICATE = { name: 'tls_client_auth', client: { tls_client_auth_subject_dn: 'CN=agent' } };

describe('a certified server', () => {
  const certificates = makeCertificates();
  let close;
  let issuer;
  let pair;
  const issued = [];
  /** The thumbprints of the keys to which the tokens are bound. */
  const bound = [];

  before(async () => {
    const { cert, key } = certificates.client('agent');
    pair = { clientCertificate: cert, clientKey: key };
    const { server: own, ca } = certificates;
    const tls = { ...own, ca: ca.cert, requestCert: true, rejectUnauthorized: false };
    const server = https.createServer(tls);
    const { url, stop } = await listen(undefined, server);
    close = stop;
    issuer = url;
    // The provider writes to the console when the test loads and creates it.
    for (const method of ['info', 'warn']) mock.method(console, method, () => {});
    const { default: Provider } = await import('oidc-provider');
    const provider = new Provider(issuer, configuration());
    mock.restoreAll();
    provider.on('client_credentials.saved', ({ clientId, jkt }) => {
      issued.push(clientId);
      bound.push(jkt);
    });
    server.on('request', provider.callback());
  });
  after(() => close?.());

  function configuration() {
    const key = generateKeyPairSync('rsa', { modulusLength: 2048 }).privateKey;
    const algorithms = [...Object.keys(KEYS), 'HS256', 'HS512'];
    return {
      clients: [...METHODS, CERTIFICATE].map(clientOf),
      clientAuthMethods: [...new Set([...METHODS, CERTIFICATE].map(({ name }) => name))],
      enabledJWA: {
        clientAuthSigningAlgValues: algorithms,
        dPoPSigningAlgValues: Object.keys(KEYS),
      },
      jwks: { keys: [{ ...jwkOf(key), alg: 'RS256', use: 'sig' }] },
      cookies: { keys: ['unused'] },
      ttl: { ClientCredentials: 300 },
      features: {
        devInteractions: { enabled: false },
        clientCredentials: { enabled: true },
        // The server accepts requests without a proof, but demands a nonce in every proof.
        dPoP: { enabled: true, nonceSecret: randomBytes(32), requireNonce: () => true },
        mTLS: {
          enabled: true,
          tlsClientAuth: true,
          getCertificate: ({ socket }) => socket.getPeerX509Certificate(),
          certificateAuthorized: ({ socket }) => socket.authorized,
          certificateSubjectMatches: ({ socket }, property, expected) => {
            assert.equal(property, 'tls_client_auth_subject_dn');
            return `CN=${socket.getPeerCertificate().subject.CN}` === expected;
          },
        },
      },
    };
  }

  function make(t, options) {
    const { logger, at } = recorder();
    const { ca } = certificates;
    const secret = { clientSecret: undefined };
    return { manager: openManager(t, { ca: ca.cert, logger, ...secret, ...options }), at };
  }

  async function assertGiven(t, clientId, options) {
    const audience = options.privateKey && { assertionAudience: issuer };
    for (const place of [{ issuer }, { tokenEndpoint: `${issuer}/token`, ...audience }]) {
      issued.length = 0;
      const { manager, at } = make(t, { ...place, clientId, ...options });
      const first = await manager.getToken();
      assert.notEqual(await manager.getToken({ forceRefresh: true }), first);
      assert.deepEqual(issued, [clientId, clientId]);
      assert.deepEqual(at('warn'), []);
    }
  }

  for (const method of METHODS) {
    const { client_id: clientId } = clientOf(method);
    test(`accepts ${clientId}`, (t) => assertGiven(t, clientId, method.options));
  }

  for (const algorithm of [undefined, ...Object.keys(KEYS)]) {
    const name = algorithm ?? 'a generated key';
    test(`binds tokens to a key with a nonce from the server: ${name}`, async (t) => {
      bound.length = 0;
      const signing = { clientId: 'private_key_jwt ES256', ...METHODS.find(isEs256).options };
      const key = algorithm && jwkOf(KEYS[algorithm].privateKey);
      const dpopKey = key && { ...key, alg: algorithm };
      const { manager } = make(t, { issuer, ...signing, dpop: true, dpopKey });
      assert.equal((await manager.getAccessToken()).tokenType, 'DPoP');
      await manager.getToken({ forceRefresh: true });
      const { counters, dpopThumbprint } = manager.snapshot();
      assert.deepEqual(bound, [dpopThumbprint, dpopThumbprint]);
      assert.equal(counters.retries, 0);
    });
  }

  test('accepts tls_client_auth', (t) => assertGiven(t, 'tls_client_auth', pair));

  for (const [what, clientId, options] of [
    ['a wrong secret', 'client_secret_post', { clientSecret: 'canary-secret' }],
    ['another key', 'private_key_jwt RS256', { privateKey: pem(KEYS.PS256), keyId: 'a-key' }],
    ['a secret in place of a key', 'private_key_jwt ES256', { clientSecret: SECRET }],
  ]) {
    test(`refuses ${what}, and the error does not show it`, async (t) => {
      const { manager } = make(t, { issuer, clientId, ...options });
      const error = await rejection(manager.getToken(), 'ERR_KEYCLOAK_OAUTH');
      assert.deepEqual([error.status, error.oauthError], [401, 'invalid_client']);
      assert.doesNotMatch(inspect(error), /canary|BEGIN|eyJ/);
    });
  }
});
