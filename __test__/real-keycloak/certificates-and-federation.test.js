/**
 * Clients of a real Keycloak that a third party vouches for: an authority that signed their
 * certificate, or an issuer of assertions. The server has an https port that requests client
 * certificates.
 */
'use strict';

const assert = require('node:assert/strict');
const { randomUUID } = require('node:crypto');
const { writeFileSync } = require('node:fs');
const http = require('node:http');
const { createServer } = require('node:net');
const { after, before, test } = require('node:test');
const { inspect } = require('node:util');

const { makeCertificates } = require('../../tools/certificates.js');
const { makeFile } = require('../support/files.js');
const { listen } = require('../support/listen');
const { rejection } = require('../support/manager');
const { differenceOf, optionsFor } = require('./support/differences');
const {
  claimsOf,
  createClient,
  createRealm,
  describeWithKeycloak,
  manage,
} = require('./support/keycloak');

const SPIFFE = 'urn:ietf:params:oauth:client-assertion-type:jwt-spiffe';
const SERVER = 'a server that asks for certificates';
const FEDERATION = 'clients of other issuers';
/** The additional settings that the newest release requires. */
const NEWEST = { options: ['--http-management-scheme=http', '--features=spiffe'] };

/** Issuers that vouch for a client: their settings in Keycloak, and the claims they assert. */
const ISSUERS = [
  {
    what: 'an OIDC issuer',
    provider: (url) => ({
      providerId: 'oidc',
      config: {
        issuer: url,
        jwksUrl: `${url}/keys`,
        useJwksUrl: 'true',
        validateSignature: 'true',
        supportsClientAssertions: 'true',
        clientId: 'keycloak',
        clientSecret: 'unused',
        tokenUrl: `${url}/token`,
        authorizationUrl: `${url}/authorize`,
      },
    }),
    subject: 'an-agent',
    claims: (url) => ({ iss: url }),
    isSingleUse: true,
  },
  {
    what: 'a Kubernetes service account',
    provider: (url) => ({ providerId: 'kubernetes', config: { issuer: url } }),
    subject: 'system:serviceaccount:team1:agent',
    claims: (url) => ({ iss: url }),
  },
  {
    what: 'a SPIFFE identity',
    provider: (url) => ({
      providerId: 'spiffe',
      config: { trustDomain: 'spiffe://example.org', bundleEndpoint: `${url}/bundle` },
    }),
    subject: 'spiffe://example.org/ns/team1/sa/agent',
    claims: () => ({}),
    options: { clientAssertionType: SPIFFE },
  },
];

/**
 * Starts an issuer of assertions, which publishes its keys at `/keys`, and as a SPIFFE bundle at
 * `/bundle`.
 */
async function startAssertionIssuer() {
  const { SignJWT, exportJWK, generateKeyPair } = await import('jose');
  const { privateKey, publicKey } = await generateKeyPair('RS256');
  const key = { ...(await exportJWK(publicKey)), kid: randomUUID(), alg: 'RS256' };
  const documents = {
    '/.well-known/openid-configuration': () => ({ issuer: url, jwks_uri: `${url}/keys` }),
    '/keys': () => ({ keys: [{ ...key, use: 'sig' }] }),
    '/bundle': () => ({ keys: [{ ...key, use: 'jwt-svid' }] }),
  };
  const server = http.createServer((request, response) => {
    const document = documents[request.url];
    response.writeHead(document ? 200 : 404, { 'content-type': 'application/json' });
    response.end(JSON.stringify(document?.() ?? {}));
  });
  const { url, stop } = await listen(undefined, server);
  const issue = (claims) =>
    new SignJWT({ jti: randomUUID(), ...claims })
      .setProtectedHeader({ alg: 'RS256', kid: key.kid, typ: 'JWT' })
      .setIssuedAt()
      .setExpirationTime('5m')
      .sign(privateKey);
  return { url, issue, stop };
}

let certificates;
let httpsPort;

async function serverOptions() {
  certificates = makeCertificates();
  // The options need the port before the server starts.
  const free = await listen(undefined, createServer());
  httpsPort = free.port;
  await free.stop();
  const { ca, server } = certificates;
  const { options } = { ...NEWEST, ...differenceOf(SERVER).expected };
  const given = [
    `--https-port=${httpsPort}`,
    `--https-certificate-file=${server.certFile}`,
    `--https-certificate-key-file=${server.keyFile}`,
    `--truststore-paths=${ca.certFile}`,
    '--https-client-auth=request',
    ...options,
  ];
  return { options: given };
}

const suite = { own: serverOptions, ...optionsFor(SERVER) };

describeWithKeycloak(
  'clients with a certificate or an assertion from a third party',
  suite,
  (keycloak) => {
    let secure;
    let assertions;
    before(async () => {
      secure = keycloak.realmUrl.replace(/^http:\/\/[^/]*/, `https://localhost:${httpsPort}`);
      assertions = await startAssertionIssuer();
    });
    after(async () => {
      await assertions?.stop();
      certificates?.remove();
    });

    /**
     * Makes a client from which Keycloak expects the certificate of `agent`, and a manager with the
     * given certificate.
     */
    async function startWith(t, { cert, key }, place = { issuer: secure }, attributes = {}) {
      const { clientId } = await createClient(keycloak, {
        clientAuthenticatorType: 'client-x509',
        attributes: { 'x509.subjectdn': 'CN=agent', ...attributes },
      });
      const pair = { clientCertificate: cert, clientKey: key };
      const manager = manage(t, { ca: certificates.ca.cert, ...place, clientId, ...pair });
      return { clientId, manager };
    }
    const endpoint = () => ({ tokenEndpoint: `${secure}/protocol/openid-connect/token` });

    test('a certificate authenticates a client with tokenEndpoint and with issuer', async (t) => {
      for (const place of [endpoint(), { issuer: secure }]) {
        const { clientId, manager } = await startWith(t, certificates.client('agent'), place);
        for (const forceRefresh of [false, true]) {
          assert.equal(claimsOf(await manager.getToken({ forceRefresh })).azp, clientId);
        }
      }
    });

    test("the endpoint in the discovery document refuses another client's certificate", async (t) => {
      const { manager } = await startWith(t, certificates.client('stranger'));
      const error = await rejection(manager.getToken(), 'ERR_KEYCLOAK_OAUTH');
      assert.equal(error.tokenEndpoint, endpoint().tokenEndpoint);
      assert.deepEqual([error.status, error.oauthError], [401, 'invalid_client']);
      assert.match(error.message, /the certificate is wrong/);
    });

    test('a certificate from an unknown authority ends the connection', async (t) => {
      const foreign = makeCertificates();
      t.after(() => foreign.remove());
      const { manager } = await startWith(t, foreign.client('agent'), endpoint());
      // The refusal arrives during or after the handshake, depending on the TLS version.
      const error = await manager.getToken().catch((reason) => reason);
      assert.match(error.code, /^ERR_KEYCLOAK_(TLS|NETWORK)$/);
      assert.match(error.message, /the server may have rejected the client certificate/);
    });

    test('Keycloak can bind tokens to the certificate', async (t) => {
      const bound = { 'tls.client.certificate.bound.access.tokens': 'true' };
      const { manager } = await startWith(t, certificates.client('agent'), undefined, bound);
      assert.equal(typeof claimsOf(await manager.getToken()).cnf['x5t#S256'], 'string');
    });

    for (const { what, provider, subject, claims, options, isSingleUse } of ISSUERS) {
      const name = `${what} authenticates a client with the current content of a file`;
      test(name, optionsFor(FEDERATION), async (t) => {
        const realm = await createRealm(t, keycloak);
        await realm.admin('POST', '/identity-provider/instances', {
          alias: 'issuer',
          enabled: true,
          ...provider(assertions.url),
        });
        const { clientId } = await createClient(keycloak, {
          realm: realm.name,
          clientAuthenticatorType: 'federated-jwt',
          attributes: { 'jwt.credential.issuer': 'issuer', 'jwt.credential.sub': subject },
        });
        const issue = (sub) =>
          assertions.issue({ ...claims(assertions.url), sub, aud: realm.realmUrl });
        const clientAssertionFile = makeFile(t, await issue(subject));
        const { tokenEndpoint } = realm;
        const start = () => manage(t, { tokenEndpoint, clientId, clientAssertionFile, ...options });

        const manager = start();
        assert.equal(claimsOf(await manager.getToken()).azp, clientId);
        if (isSingleUse) {
          const error = await manager.getToken({ forceRefresh: true }).catch((reason) => reason);
          assert.equal(error.oauthErrorDescription, 'Token reuse detected');
          assert.doesNotMatch(inspect(error), /eyJ/);
        } else {
          const token = await manager.getToken({ forceRefresh: true });
          assert.equal(claimsOf(token).azp, clientId, 'the same assertion again');
        }
        writeFileSync(clientAssertionFile, await issue(subject));
        assert.equal(claimsOf(await start().getToken()).azp, clientId);

        writeFileSync(clientAssertionFile, await issue(`${subject}-of-another`));
        const error = await rejection(start().getToken(), 'ERR_KEYCLOAK_OAUTH');
        assert.equal(error.oauthError, 'invalid_client');
        assert.match(error.message, /the assertion/);
      });
    }
  },
);
