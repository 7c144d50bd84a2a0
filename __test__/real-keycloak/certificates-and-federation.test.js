/**
 * Clients of a real Keycloak that are believed because somebody else vouches for them: an authority
 * that signed their certificate, or an issuer of assertions. It takes a server with an https port
 * that asks for certificates.
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

const { KeycloakTokenError, KeycloakTokenManager } = require('../..');
const { makeCertificates } = require('../support/certificates');
const { startAssertionIssuer } = require('./support/client-keys');
const { differenceOf, optionsFor } = require('./support/differences');
const { claimsOf, createClient, createRealm, describeWithKeycloak } = require('./support/keycloak');

const SPIFFE = 'urn:ietf:params:oauth:client-assertion-type:jwt-spiffe';
const SERVER = 'a server that asks for certificates';
const FEDERATION = 'clients of other issuers';
/** The additional requirements of the newest release. */
const NEWEST = { options: ['--http-management-scheme=http', '--features=spiffe'] };

/** Who vouches for a client: as an identity provider of Keycloak, and what it says. */
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

/** It must be known before the server starts. */
async function freePort() {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address();
  await once(server.close(), 'close');
  return port;
}

let certificates;
let httpsPort;

async function serverOptions() {
  certificates = makeCertificates();
  httpsPort = await freePort();
  const { ca, server } = certificates;
  const { options } = { ...NEWEST, ...differenceOf(SERVER).expected };
  return [
    `--https-port=${httpsPort}`,
    `--https-certificate-file=${server.certFile}`,
    `--https-certificate-key-file=${server.keyFile}`,
    `--truststore-paths=${ca.certFile}`,
    '--https-client-auth=request',
    ...options,
  ];
}

const suite = { options: serverOptions, ...optionsFor(SERVER) };

describeWithKeycloak('clients that others vouch for', suite, (keycloak) => {
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

  function manage(t, options) {
    const manager = new KeycloakTokenManager({ ca: certificates.ca.cert, ...options });
    t.after(() => manager.close());
    return manager;
  }

  async function failureOf(manager) {
    const error = await manager.getToken().then(
      () => assert.fail('a token was given'),
      (reason) => reason,
    );
    assert.ok(error instanceof KeycloakTokenError, inspect(error));
    return error;
  }

  async function clientOfCertificate() {
    const { clientId } = await createClient(keycloak, {
      clientAuthenticatorType: 'client-x509',
      attributes: { 'x509.subjectdn': 'CN=agent' },
    });
    return clientId;
  }

  const shown = ({ cert, key }) => ({ clientCertificate: cert, clientKey: key });
  const endpointOf = (realmUrl) => `${realmUrl}/protocol/openid-connect/token`;

  test('a certificate proves a client, at its endpoint and by its issuer', async (t) => {
    const clientId = await clientOfCertificate();
    const certificate = shown(certificates.client('agent'));
    for (const place of [{ tokenEndpoint: endpointOf(secure) }, { issuer: secure }]) {
      const manager = manage(t, { ...place, clientId, ...certificate });
      for (const forceRefresh of [false, true]) {
        assert.equal(claimsOf(await manager.getToken({ forceRefresh })).azp, clientId);
      }
    }
  });

  test('the endpoint for certificates is that of the document', async (t) => {
    const document = await readDocument(secure, certificates.ca.cert);
    assert.equal(document.mtls_endpoint_aliases.token_endpoint, document.token_endpoint);
    const clientId = await clientOfCertificate();
    const stranger = shown(certificates.client('stranger'));
    const error = await failureOf(manage(t, { issuer: secure, clientId, ...stranger }));
    assert.equal(error.tokenEndpoint, document.mtls_endpoint_aliases.token_endpoint);
  });

  test('a certificate of somebody else is refused', async (t) => {
    const clientId = await clientOfCertificate();
    const tokenEndpoint = endpointOf(secure);
    const certificate = shown(certificates.client('somebody'));
    const error = await failureOf(manage(t, { tokenEndpoint, clientId, ...certificate }));
    assert.deepEqual(
      [error.code, error.status, error.oauthError],
      ['ERR_KEYCLOAK_OAUTH', 401, 'invalid_client'],
    );
    assert.match(error.message, /the certificate is wrong/);
  });

  test('a certificate of an unknown authority is no way in', async (t) => {
    const foreign = makeCertificates();
    t.after(() => foreign.remove());
    const clientId = await clientOfCertificate();
    const tokenEndpoint = endpointOf(secure);
    const certificate = shown(foreign.client('agent'));
    const error = await failureOf(manage(t, { tokenEndpoint, clientId, ...certificate }));
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
    const manager = manage(t, { issuer: secure, clientId, ...certificate });
    assert.equal(typeof claimsOf(await manager.getToken()).cnf['x5t#S256'], 'string');
  });

  for (const { what, provider, subject, claims, options, isSingleUse } of ISSUERS) {
    test(
      `${what} proves a client, from a file that is renewed`,
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
          manage(t, { tokenEndpoint, clientId, clientAssertionFile: file, ...options });

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
        const error = await failureOf(make());
        assert.deepEqual([error.code, error.oauthError], ['ERR_KEYCLOAK_OAUTH', 'invalid_client']);
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
