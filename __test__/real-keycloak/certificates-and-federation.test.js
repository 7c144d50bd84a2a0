/**
 * Clients of a real Keycloak that a third party vouches for: an authority that signed their
 * certificate, or an issuer of assertions. The server has an https port that asks for certificates.
 */
'use strict';

const assert = require('node:assert/strict');
const { once } = require('node:events');
const { writeFile } = require('node:fs/promises');
const https = require('node:https');
const { createServer } = require('node:net');
const path = require('node:path');
const { after, before, test } = require('node:test');
const { inspect } = require('node:util');

const { makeCertificates } = require('../../tools/certificates.js');
const { listen } = require('../support/listen');
const { rejection } = require('../support/manager');
const { startAssertionIssuer } = require('./support/client-keys');
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
/** The additional requirements of the newest release. */
const NEWEST = { options: ['--http-management-scheme=http', '--features=spiffe'] };

/** Issuers that vouch for a client, as identity providers of Keycloak, and their claims. */
const ISSUERS = [
  {
    what: 'an OIDC issuer',
    provider: ({ url, jwksUrl }) => ({
      providerId: 'oidc',
      config: {
        issuer: url,
        jwksUrl,
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
    claims: ({ url }) => ({ iss: url }),
    isSingleUse: true,
  },
  {
    what: 'a Kubernetes service account',
    provider: ({ url }) => ({ providerId: 'kubernetes', config: { issuer: url } }),
    subject: 'system:serviceaccount:team1:agent',
    claims: ({ url }) => ({ iss: url }),
  },
  {
    what: 'a SPIFFE identity',
    provider: ({ bundleUrl }) => ({
      providerId: 'spiffe',
      config: { trustDomain: 'spiffe://example.org', bundleEndpoint: bundleUrl },
    }),
    subject: 'spiffe://example.org/ns/team1/sa/agent',
    claims: () => ({ iss: undefined }),
    options: { clientAssertionType: SPIFFE },
  },
];

let certificates;
let httpsPort;

async function serverOptions() {
  certificates = makeCertificates();
  // The port must be known before the server starts.
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

describeWithKeycloak('clients with a voucher', suite, (keycloak) => {
  let secure;
  let assertions;
  before(async () => {
    secure = keycloak.realmUrl.replace(/^http:\/\/[^/]*/, `https://localhost:${httpsPort}`);
    assertions = await startAssertionIssuer();
  });
  after(async () => {
    await assertions?.close();
    certificates?.remove();
  });

  const manageSecure = (t, options) => manage(t, { ca: certificates.ca.cert, ...options });
  const failureOf = (manager, code) => rejection(manager.getToken(), code);

  async function clientOfCertificate() {
    const { clientId } = await createClient(keycloak, {
      clientAuthenticatorType: 'client-x509',
      attributes: { 'x509.subjectdn': 'CN=agent' },
    });
    return clientId;
  }

  const shown = ({ cert, key }) => ({ clientCertificate: cert, clientKey: key });
  const endpointOf = (realmUrl) => `${realmUrl}/protocol/openid-connect/token`;

  test('a certificate authenticates a client at the endpoint and by the issuer', async (t) => {
    const clientId = await clientOfCertificate();
    const certificate = shown(certificates.client('agent'));
    for (const place of [{ tokenEndpoint: endpointOf(secure) }, { issuer: secure }]) {
      const manager = manageSecure(t, { ...place, clientId, ...certificate });
      for (const forceRefresh of [false, true]) {
        assert.equal(claimsOf(await manager.getToken({ forceRefresh })).azp, clientId);
      }
    }
  });

  test('a certificate of another client is refused at the endpoint of the document', async (t) => {
    const document = await readDocument(secure, certificates.ca.cert);
    assert.equal(document.mtls_endpoint_aliases.token_endpoint, document.token_endpoint);
    const clientId = await clientOfCertificate();
    const stranger = shown(certificates.client('stranger'));
    const manager = manageSecure(t, { issuer: secure, clientId, ...stranger });
    const error = await failureOf(manager, 'ERR_KEYCLOAK_OAUTH');
    assert.equal(error.tokenEndpoint, document.mtls_endpoint_aliases.token_endpoint);
    assert.deepEqual([error.status, error.oauthError], [401, 'invalid_client']);
    assert.match(error.message, /the certificate is wrong/);
  });

  test('a certificate of an unknown authority ends the connection', async (t) => {
    const foreign = makeCertificates();
    t.after(() => foreign.remove());
    const clientId = await clientOfCertificate();
    const tokenEndpoint = endpointOf(secure);
    const certificate = shown(foreign.client('agent'));
    const manager = manageSecure(t, { tokenEndpoint, clientId, ...certificate });
    // Whether the refusal arrives in the handshake depends on the version of TLS.
    const error = await manager.getToken().catch((reason) => reason);
    assert.match(error.code, /^ERR_KEYCLOAK_(TLS|NETWORK)$/);
    assert.match(error.message, /the server may have rejected the client certificate/);
  });

  test('tokens can be bound to the certificate', async (t) => {
    const { clientId } = await createClient(keycloak, {
      clientAuthenticatorType: 'client-x509',
      attributes: {
        'x509.subjectdn': 'CN=agent',
        'tls.client.certificate.bound.access.tokens': 'true',
      },
    });
    const certificate = shown(certificates.client('agent'));
    const manager = manageSecure(t, { issuer: secure, clientId, ...certificate });
    assert.equal(typeof claimsOf(await manager.getToken()).cnf['x5t#S256'], 'string');
  });

  for (const { what, provider, subject, claims, options, isSingleUse } of ISSUERS) {
    test(
      `${what} authenticates a client from a file that is renewed`,
      optionsFor(FEDERATION),
      async (t) => {
        const realm = await createRealm(t, keycloak);
        await realm.admin('POST', '/identity-provider/instances', {
          alias: 'issuer',
          enabled: true,
          ...provider(assertions),
        });
        const { clientId } = await createClient(keycloak, {
          realm: realm.name,
          clientAuthenticatorType: 'federated-jwt',
          attributes: { 'jwt.credential.issuer': 'issuer', 'jwt.credential.sub': subject },
        });
        const file = path.join(certificates.directory, `assertion-${realm.name}`);
        const renew = (more) =>
          writeFile(
            file,
            assertions.issue({ ...claims(assertions), sub: subject, aud: realm.realmUrl, ...more }),
          );
        const { tokenEndpoint } = realm;
        const make = () =>
          manageSecure(t, { tokenEndpoint, clientId, clientAssertionFile: file, ...options });

        await renew();
        const manager = make();
        assert.equal(claimsOf(await manager.getToken()).azp, clientId);
        if (isSingleUse) {
          const error = await manager.getToken({ forceRefresh: true }).catch((reason) => reason);
          assert.equal(error.oauthErrorDescription, 'Token reuse detected');
          assert.doesNotMatch(inspect(error), /eyJ/);
        } else {
          const token = await manager.getToken({ forceRefresh: true });
          assert.equal(claimsOf(token).azp, clientId, 'the same assertion again');
        }
        await renew();
        assert.equal(claimsOf(await make().getToken()).azp, clientId);

        await renew({ sub: `${subject}-of-another` });
        const error = await failureOf(make(), 'ERR_KEYCLOAK_OAUTH');
        assert.equal(error.oauthError, 'invalid_client');
        assert.match(error.message, /the assertion/);
      },
    );
  }
});

/** The discovery document of a realm, over https. */
async function readDocument(realmUrl, ca) {
  const url = `${realmUrl}/.well-known/openid-configuration`;
  const [response] = await once(https.get(url, { ca, agent: false }), 'response');
  let text = '';
  for await (const chunk of response) text += chunk;
  return JSON.parse(text);
}
