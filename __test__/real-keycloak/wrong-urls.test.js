/**
 * URLs that a real Keycloak answers, but not with a token, and a client whose token it fails to
 * make. What kind of error each is, and that the message points at the URL.
 */
'use strict';

const { differenceOf } = require('./support/differences');
const { describeWithKeycloak, secretOf } = require('./support/keycloak');
const { otherRealm, testRefusals } = require('./support/refusals');

const NOT_NORMALIZED = 'Request path not normalized';

const inRealm = (path) => (keycloak) => `${keycloak.realmUrl}${path}`;
const inProtocol = (path) => inRealm(`/protocol/openid-connect/${path}`);

/** Answers of the shape of an OAuth refusal. */
const LIKE_OAUTH = [
  {
    what: 'a double slash',
    endpoint: ({ tokenEndpoint }) => tokenEndpoint.replace('/realms', '//realms'),
    status: 400,
    oauthError: 'missingNormalization',
    description: NOT_NORMALIZED,
    advice: /double slash, .* correct tokenEndpoint/,
  },
  {
    what: 'an unnecessary escape',
    endpoint: inProtocol('%74oken'),
    status: 400,
    oauthError: 'missingNormalization',
    description: NOT_NORMALIZED,
    advice: /an unnecessary escape .* correct tokenEndpoint/,
  },
  {
    what: 'a semicolon',
    endpoint: inProtocol('token;a=b'),
    status: 400,
    oauthError: 'invalidCharacter',
    description: "Request path contains invalid character ';'",
    advice: /a semicolon; correct tokenEndpoint/,
  },
  {
    what: 'the introspection endpoint',
    endpoint: inProtocol('token/introspect'),
    status: 400,
    oauthError: 'invalid_request',
    description: 'Token not provided.',
    advice: /not a token endpoint/,
  },
  {
    what: 'the revocation endpoint',
    endpoint: inProtocol('revoke'),
    status: 400,
    oauthError: 'invalid_request',
    description: 'Token not provided',
    advice: /not a token endpoint/,
  },
  {
    what: 'the authorization endpoint',
    endpoint: inProtocol('auth'),
    status: 400,
    oauthError: 'Invalid parameter: redirect_uri',
    advice: /not a token endpoint/,
  },
  {
    what: 'the root of the server',
    endpoint: ({ url }) => `${url}/`,
    status: 406,
    oauthError: 'The accept header value did not match the value in @Produces',
    advice: /not a token endpoint/,
  },
];

/** Keycloak's own words outside of OAuth. */
const IN_PROSE = [
  {
    what: 'a missing realm',
    endpoint: otherRealm('no-such-realm'),
    status: 404,
    oauthError: 'Realm does not exist',
    advice: /realm .* does not exist .* check tokenEndpoint/,
  },
  {
    what: 'the name of the realm in other case',
    endpoint: otherRealm('Kagenti'),
    status: 404,
    oauthError: 'Realm does not exist',
    advice: /realm .* does not exist .* check tokenEndpoint/,
  },
  {
    what: 'a wrong path in the realm',
    endpoint: inProtocol('tokens'),
    status: 405,
    oauthError: 'HTTP 405 Method Not Allowed',
    advice: /not a token endpoint; Keycloak's is .*openid-connect\/token/,
  },
  {
    what: 'another protocol',
    endpoint: inRealm('/protocol/oidc/token'),
    status: 404,
    oauthError: 'Protocol not found',
    advice: /not a token endpoint/,
  },
  {
    what: 'the path of releases before 17',
    endpoint: ({ url, tokenEndpoint }) => tokenEndpoint.replace(url, `${url}/auth`),
    status: 404,
    oauthError: 'Unable to find matching target resource method',
    advice: /not a token endpoint/,
  },
  {
    what: 'the URL of the realm',
    endpoint: inRealm(''),
    status: 405,
    oauthError: 'HTTP 405 Method Not Allowed',
    advice: /not a token endpoint/,
  },
  {
    what: 'the URL of the discovery document',
    endpoint: inRealm('/.well-known/openid-configuration'),
    status: 404,
    oauthError: 'HTTP 404 Not Found',
    advice: /not a token endpoint/,
  },
  {
    what: 'the URL of the console',
    endpoint: ({ url }) => `${url}/admin/`,
    status: 405,
    oauthError: 'HTTP 405 Method Not Allowed',
    advice: /not a token endpoint/,
  },
];

const OTHERS = [
  {
    what: 'the userinfo endpoint',
    endpoint: inProtocol('userinfo'),
    code: 'ERR_KEYCLOAK_HTTP',
    retryable: false,
    status: 401,
    advice: /the answer is not from an OAuth server; check tokenEndpoint/,
  },
  {
    what: 'https to the plain port',
    endpoint: ({ tokenEndpoint }) => tokenEndpoint.replace('http:', 'https:'),
    code: 'ERR_KEYCLOAK_TLS',
    retryable: false,
    advice: /does not speak TLS/,
  },
  {
    what: 'the health of the server',
    endpoint: ({ managementUrl }) => `${managementUrl}/health`,
    code: 'ERR_KEYCLOAK_PROTOCOL',
    retryable: false,
    status: 200,
    advice: /has no access_token; check that tokenEndpoint/,
  },
  {
    what: 'an uncaught error of the server',
    options: { clientId: 'broken', clientSecret: secretOf('broken') },
    code: 'ERR_KEYCLOAK_HTTP',
    retryable: true,
    status: 500,
    oauthError: 'unknown_error',
    description: 'For more on this error consult the server log.',
    advice: /the server, or a gateway in front of it, is unavailable/,
  },
];

describeWithKeycloak('wrong URLs at a real Keycloak', {}, (keycloak) => {
  testRefusals(keycloak, LIKE_OAUTH, { code: 'ERR_KEYCLOAK_OAUTH', retryable: false });
  const prose = differenceOf('an error in prose').expected;
  testRefusals(keycloak, IN_PROSE, { code: 'ERR_KEYCLOAK_HTTP', retryable: false, ...prose });
  testRefusals(keycloak, OTHERS, {});
});
