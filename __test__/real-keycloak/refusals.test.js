/**
 * A real Keycloak's refusals of a client, of its realm, and of a URL that is not a token endpoint:
 * the kind, the details and the advice of each error.
 */
'use strict';

const { differenceOf } = require('./support/differences');
const { describeWithKeycloak, secretOf } = require('./support/keycloak');
const { http, oauth, otherRealm, testRefusals } = require('./support/refusals');

const GENERIC = 'Invalid client or Invalid client credentials';
const NO_ASSERTION = 'Parameter client_assertion_type is missing';
const NO_CERTIFICATE = 'Client Certification missing for MTLS HoK Token Binding';
const NO_PUBLIC = 'Public client not allowed to retrieve service account';
const NO_ACCOUNT = 'Client not enabled to retrieve service account';
const NOT_ACCEPTED = 'The accept header value did not match the value in @Produces';
const ANOTHER_METHOD = /client "x509" .* the client requires another authentication method/;
const NOT_AN_ENDPOINT = /not a token endpoint/;
const clientSecret = 'canary-of-a-wrong-secret';
const clientAuthentication = 'client_secret_basic';
const client = (clientId) => ({ clientId, clientSecret: secretOf(clientId) });
const inRealm = (path) => (keycloak) => `${keycloak.realmUrl}${path}`;
const inProtocol = (path) => inRealm(`/protocol/openid-connect/${path}`);

const unauthorized = (...text) => oauth(401, 'unauthorized_client', ...text);
const wrongSecret = (id) => unauthorized(GENERIC, new RegExp(`secret of client "${id}" is wrong`));
const unknown = (advice) => oauth(401, 'invalid_client', GENERIC, advice);
const invalidClient = (...text) => oauth(400, 'invalid_client', ...text);
const invalidRequest = (...text) => oauth(400, 'invalid_request', ...text);
const abnormal = (advice) =>
  oauth(400, 'missingNormalization', 'Request path not normalized', advice);
/** A plain-text error from a URL that is not a token endpoint. */
const elsewhere = (status, error, advice = NOT_AN_ENDPOINT) => http(status, error, advice);

const CLIENTS = {
  'a wrong secret': [{ clientSecret }, wrongSecret('kagenti-api')],
  'a wrong secret in the header': [
    { clientSecret, clientAuthentication },
    wrongSecret('kagenti-api'),
  ],
  'a secret that has expired': [client('expired'), wrongSecret('expired')],
  'an unknown client': [
    { clientId: 'nobody', clientSecret },
    unknown(/client "nobody" is unknown/),
  ],
  'an unknown client in the header': [
    { clientId: 'nobody', clientSecret, clientAuthentication },
    unknown(/client "nobody" is unknown/),
  ],
  'a disabled client': [client('disabled'), unknown(/client "disabled" is unknown or disabled/)],
  'a client whose service account is off': [
    client('no-sa'),
    unauthorized(NO_ACCOUNT, /"no-sa" is off/),
  ],
  'a client whose service account has a disabled user': [
    client('user-disabled'),
    oauth(
      401,
      'invalid_request',
      "User 'service-account-user-disabled' disabled",
      /"user-disabled" is disabled/,
    ),
  ],
  'a public client': [
    { clientId: 'public', clientSecret },
    unauthorized(NO_PUBLIC, /turn on "Client authentication"/),
  ],
  'a bearer-only client': [
    client('bearer-only'),
    invalidClient('Bearer-only not allowed', /client "bearer-only" is bearer-only/),
  ],
  'a posted secret where only the header is allowed': [
    client('basic-only'),
    unauthorized(
      'Invalid method used to get client secret. Client requires method ' +
        "'client_secret_basic' to obtain client secret from the request",
      /client "basic-only" .* set clientAuthentication/,
    ),
  ],
  'a client that signs with its key': [
    client('jwt'),
    invalidClient(NO_ASSERTION, /"jwt" must authenticate with a signed JWT/),
  ],
  'a client that signs with its secret': [
    client('secret-jwt'),
    invalidClient(NO_ASSERTION, /must authenticate with a signed JWT/),
  ],
  'a client with a certificate': [client('x509'), unknown(ANOTHER_METHOD)],
  'a client with a certificate, its secret in the header': [
    { ...client('x509'), clientAuthentication },
    invalidClient('Missing client_id parameter', ANOTHER_METHOD),
  ],
  'a client that requires certificate-bound tokens': [
    client('mtls-bound'),
    invalidRequest(NO_CERTIFICATE, /requires certificate-bound tokens/),
  ],
  'a client that requires DPoP proofs': [
    client('dpop'),
    invalidRequest('DPoP proof is missing', /client "dpop" .* set dpop: true/),
  ],
  'an unknown scope among good ones': [
    { scope: ['address', 'no-such-scope'] },
    oauth(400, 'invalid_scope', 'Invalid scopes: address no-such-scope', /not assigned to client/),
  ],
  'a disabled realm': [
    otherRealm('disabled'),
    oauth(403, 'access_denied', 'Realm not enabled', /realm is disabled/),
  ],
  'a realm that requires https': [
    { realm: { sslRequired: 'all' } },
    oauth(403, 'invalid_request', 'HTTPS required', /realm requires https .* use the https URL/),
  ],
  'a client policy': [
    {
      realm: {
        clientProfiles: {
          profiles: [
            { name: 'none', executors: [{ executor: 'reject-request', configuration: {} }] },
          ],
        },
        clientPolicies: {
          policies: [
            {
              name: 'nobody',
              enabled: true,
              conditions: [{ condition: 'any-client', configuration: {} }],
              profiles: ['none'],
            },
          ],
        },
      },
    },
    invalidRequest('Request not allowed', /refused client .* client policies/),
  ],
};

/** Wrong URLs that answer with an OAuth error. */
const LIKE_OAUTH = {
  'a double slash': [
    ({ tokenEndpoint }) => tokenEndpoint.replace('/realms', '//realms'),
    abnormal(/double slash, .* correct tokenEndpoint/),
  ],
  'an unnecessary escape': [inProtocol('%74oken'), abnormal(/an unnecessary escape .* correct/)],
  'a semicolon': [
    inProtocol('token;a=b'),
    oauth(
      400,
      'invalidCharacter',
      "Request path contains invalid character ';'",
      /a semicolon; correct/,
    ),
  ],
  'the introspection endpoint': [
    inProtocol('token/introspect'),
    invalidRequest('Token not provided.', NOT_AN_ENDPOINT),
  ],
  'the authorization endpoint': [
    inProtocol('auth'),
    oauth(400, 'Invalid parameter: redirect_uri', undefined, NOT_AN_ENDPOINT),
  ],
  'the root of the server': [
    ({ url }) => `${url}/`,
    oauth(406, NOT_ACCEPTED, undefined, NOT_AN_ENDPOINT),
  ],
};

/** Wrong URLs that answer with a plain-text error. */
const IN_PROSE = {
  'a missing realm': [
    otherRealm('no-such-realm'),
    elsewhere(404, 'Realm does not exist', /realm .* does not exist .* check tokenEndpoint/),
  ],
  'a wrong path in the realm': [
    inProtocol('tokens'),
    elsewhere(
      405,
      'HTTP 405 Method Not Allowed',
      /a Keycloak token endpoint is .*openid-connect\/token/,
    ),
  ],
  'another protocol': [inRealm('/protocol/oidc/token'), elsewhere(404, 'Protocol not found')],
  'the path of releases before 17': [
    ({ url, tokenEndpoint }) => tokenEndpoint.replace(url, `${url}/auth`),
    elsewhere(404, 'Unable to find matching target resource method'),
  ],
  'the URL of the realm': [inRealm(''), elsewhere(405, 'HTTP 405 Method Not Allowed')],
  'the URL of the discovery document': [
    inRealm('/.well-known/openid-configuration'),
    elsewhere(404, 'HTTP 404 Not Found'),
  ],
  'the URL of the console': [
    ({ url }) => `${url}/admin/`,
    elsewhere(405, 'HTTP 405 Method Not Allowed'),
  ],
};

const OTHERS = {
  'the userinfo endpoint': [
    inProtocol('userinfo'),
    http(401, undefined, /the response is not from an OAuth server; check tokenEndpoint/),
  ],
  'https to the plain port': [
    ({ tokenEndpoint }) => tokenEndpoint.replace('http:', 'https:'),
    { code: 'ERR_KEYCLOAK_TLS', advice: /does not speak TLS/ },
  ],
  'the health of the server': [
    ({ managementUrl }) => `${managementUrl}/health`,
    { code: 'ERR_KEYCLOAK_PROTOCOL', status: 200, advice: /has no access_token/ },
  ],
  'an uncaught error of the server': [
    client('broken'),
    {
      ...http(500, 'unknown_error', /the server, or a gateway in front of it, is unavailable/),
      retryable: true,
      description: 'For more on this error consult the server log.',
    },
  ],
};

describeWithKeycloak('a refusal of a real Keycloak:', {}, (keycloak) => {
  testRefusals(keycloak, { ...CLIENTS, ...LIKE_OAUTH, ...OTHERS });
  testRefusals(keycloak, IN_PROSE, differenceOf('an error in prose').expected);
});
