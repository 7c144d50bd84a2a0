/**
 * Refusals of a real Keycloak that have to do with the client or its realm: what kind of error each
 * is, what a program learns from it, and that a person learns what to do.
 */
'use strict';

const { describeWithKeycloak, secretOf } = require('./support/keycloak');
const { CLIENT, otherRealm, testRefusals } = require('./support/refusals');

const GENERIC = 'Invalid client or Invalid client credentials';
const NO_ASSERTION = 'Parameter client_assertion_type is missing';
const WRONG_SECRET = 'canary-of-a-wrong-secret';
const client = (clientId) => ({ clientId, clientSecret: secretOf(clientId) });
const withSecretOf = (clientId, clientAuthentication) => ({
  ...client(clientId),
  clientAuthentication,
});
const REFUSALS = [
  {
    what: 'a wrong secret',
    options: { ...CLIENT, clientSecret: WRONG_SECRET },
    status: 401,
    oauthError: 'unauthorized_client',
    description: GENERIC,
    advice: /secret of client "kagenti-api" is wrong/,
  },
  {
    what: 'a wrong secret in the header',
    options: {
      ...CLIENT,
      clientSecret: WRONG_SECRET,
      clientAuthentication: 'client_secret_basic',
    },
    status: 401,
    oauthError: 'unauthorized_client',
    description: GENERIC,
    advice: /secret of client "kagenti-api" is wrong/,
  },
  {
    what: 'a secret that has expired',
    options: client('expired'),
    status: 401,
    oauthError: 'unauthorized_client',
    description: GENERIC,
    advice: /secret of client "expired" is wrong/,
  },
  {
    what: 'an unknown client',
    options: { clientId: 'nobody', clientSecret: WRONG_SECRET },
    status: 401,
    oauthError: 'invalid_client',
    description: GENERIC,
    advice: /client "nobody" is unknown/,
  },
  {
    what: 'an unknown client in the header',
    options: {
      clientId: 'nobody',
      clientSecret: WRONG_SECRET,
      clientAuthentication: 'client_secret_basic',
    },
    status: 401,
    oauthError: 'invalid_client',
    description: GENERIC,
    advice: /client "nobody" is unknown/,
  },
  {
    what: 'a disabled client',
    options: client('disabled'),
    status: 401,
    oauthError: 'invalid_client',
    description: GENERIC,
    advice: /client "disabled" is unknown or disabled/,
  },
  {
    what: 'a client whose service account is off',
    options: client('no-sa'),
    status: 401,
    oauthError: 'unauthorized_client',
    description: 'Client not enabled to retrieve service account',
    advice: /service account of client "no-sa" is off/,
  },
  {
    what: 'a client whose service account has a disabled user',
    options: client('user-disabled'),
    status: 401,
    oauthError: 'invalid_request',
    description: "User 'service-account-user-disabled' disabled",
    advice: /service account user of client "user-disabled" is disabled/,
  },
  {
    what: 'a public client',
    options: { clientId: 'public', clientSecret: WRONG_SECRET },
    status: 401,
    oauthError: 'unauthorized_client',
    description: 'Public client not allowed to retrieve service account',
    advice: /client "public" is public; turn on its client authentication/,
  },
  {
    what: 'a bearer-only client',
    options: client('bearer-only'),
    status: 400,
    oauthError: 'invalid_client',
    description: 'Bearer-only not allowed',
    advice: /client "bearer-only" is bearer-only/,
  },
  {
    what: 'a posted secret where only the header is allowed',
    options: client('basic-only'),
    status: 401,
    oauthError: 'unauthorized_client',
    description:
      'Invalid method used to get client secret. Client requires method ' +
      "'client_secret_basic' to obtain client secret from the request",
    advice: /client "basic-only" .* set clientAuthentication/,
  },
  {
    what: 'a client that signs with its key',
    options: client('jwt'),
    status: 400,
    oauthError: 'invalid_client',
    description: NO_ASSERTION,
    advice: /client "jwt" must authenticate with a signed JWT/,
  },
  {
    what: 'a client that signs with its secret',
    options: client('secret-jwt'),
    status: 400,
    oauthError: 'invalid_client',
    description: NO_ASSERTION,
    advice: /client "secret-jwt" must authenticate with a signed JWT/,
  },
  {
    what: 'a client that shows a certificate',
    options: client('x509'),
    status: 401,
    oauthError: 'invalid_client',
    description: GENERIC,
    advice: /client "x509" .* the client requires another authentication method/,
  },
  {
    what: 'a client that shows a certificate, its secret in the header',
    options: withSecretOf('x509', 'client_secret_basic'),
    status: 400,
    oauthError: 'invalid_client',
    description: 'Missing client_id parameter',
    advice: /client "x509" .* the client requires another authentication method/,
  },
  {
    what: 'a client that requires certificate-bound tokens',
    options: client('mtls-bound'),
    status: 400,
    oauthError: 'invalid_request',
    description: 'Client Certification missing for MTLS HoK Token Binding',
    advice: /client "mtls-bound" requires certificate-bound tokens/,
  },
  {
    what: 'a client that requires DPoP proofs',
    options: client('dpop'),
    status: 400,
    oauthError: 'invalid_request',
    description: 'DPoP proof is missing',
    advice: /client "dpop" requires DPoP/,
  },
  {
    what: 'an unknown scope',
    options: { ...CLIENT, scope: 'no-such-scope' },
    status: 400,
    oauthError: 'invalid_scope',
    description: 'Invalid scopes: no-such-scope',
    advice: /scope .* not assigned to client "kagenti-api"/,
  },
  {
    what: 'an unknown scope among good ones',
    options: { ...CLIENT, scope: ['address', 'no-such-scope'] },
    status: 400,
    oauthError: 'invalid_scope',
    description: 'Invalid scopes: address no-such-scope',
    advice: /scope .* not assigned to client "kagenti-api"/,
  },
  {
    what: 'a disabled realm',
    endpoint: otherRealm('disabled'),
    status: 403,
    oauthError: 'access_denied',
    description: 'Realm not enabled',
    advice: /realm is disabled/,
  },
  {
    what: 'a realm that wants https',
    realm: { sslRequired: 'all' },
    status: 403,
    oauthError: 'invalid_request',
    description: 'HTTPS required',
    advice: /realm requires https .* use its https URL/,
  },
  {
    what: 'a client policy',
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
    status: 400,
    oauthError: 'invalid_request',
    description: 'Request not allowed',
    advice: /refused client "kagenti-api"; .* client policies/,
  },
];

describeWithKeycloak('what a real Keycloak refuses', {}, (keycloak) => {
  testRefusals(keycloak, REFUSALS, { code: 'ERR_KEYCLOAK_OAUTH', retryable: false });
});
