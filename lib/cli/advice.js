'use strict';

// The advice for an error of a token request. `docs/errors.md` has a row for each piece of advice,
// with the same text apart from links and from markup for quotes. A test compares the texts.

const DOCUMENT = 'see docs/errors.md';

/**
 * The rows for OAuth errors: the code, a part of the server's description, and the advice.
 * `undefined` fits everything. The first row that fits counts.
 */
const REFUSALS = [
  [
    'unauthorized_client',
    'Client not enabled to retrieve service account',
    'in the client\'s "Settings", turn on "Service accounts roles"',
  ],
  [
    'unauthorized_client',
    'Public client not allowed to retrieve service account',
    'in the client\'s "Settings", turn on "Client authentication" and "Service accounts roles"',
  ],
  [
    'unauthorized_client',
    'Invalid method used to get client secret',
    'set clientAuthentication to the method that the server names',
  ],
  [
    'unauthorized_client',
    undefined,
    'copy the secret from the client\'s "Credentials" again; restart the backend, unless a function ' +
      'or a file provides the secret',
  ],
  [
    'invalid_client',
    'Parameter client_assertion_type is missing',
    'use privateKey or client_secret_jwt, or set "Client Authenticator" to "Client Id and Secret"',
  ],
  ['invalid_client', 'Bearer-only not allowed', 'use another client'],
  [
    'invalid_client',
    undefined,
    'check clientId and the realm in the URL; in the client\'s "Credentials", set "Client ' +
      'Authenticator" to the method of your credential',
  ],
  [
    'invalid_scope',
    undefined,
    'add the scope to the client\'s "Client scopes", or correct the scope option',
  ],
  ['invalid_request', 'HTTPS required', 'use the https URL of Keycloak'],
  [
    'invalid_request',
    'DPoP proof is missing',
    'set dpop: true; if it is already set, make the proxies forward the header DPoP',
  ],
  [
    'invalid_request',
    'DPoP HTTP URL mismatch',
    'make the proxy send X-Forwarded-*, and start Keycloak with --proxy-headers=xforwarded',
  ],
  ['invalid_request', 'DPoP proof is not active', 'synchronise both clocks'],
  ['invalid_request', 'Unsupported DPoP algorithm:', 'use a P-256 key, or omit dpopKey'],
  ['invalid_request', 'DPoP', 'check the proxies in front of Keycloak'],
  [
    'invalid_dpop_proof',
    undefined,
    'compare the clocks, and compare the URL that the server sees with the URL that the manager ' +
      'calls',
  ],
  [
    'use_dpop_nonce',
    undefined,
    'make the gateways forward the header DPoP-Nonce, and make all replicas of the server accept ' +
      'the same nonces',
  ],
  [
    'invalid_request',
    'Client Certification missing for MTLS HoK Token Binding',
    'set clientCertificate and clientKey, or turn off this requirement',
  ],
  ['invalid_request', "' disabled", 'enable that user'],
  ['access_denied', 'Realm not enabled', 'enable the realm, or use another realm'],
  ['missingNormalization', undefined, 'correct tokenEndpoint'],
  ['unsupported_grant_type', undefined, 'correct tokenEndpoint'],
  ...['temporarily_unavailable', 'server_error'].map((code) => [
    code,
    undefined,
    'wait, because the manager retries the request automatically; if the error persists, read the ' +
      'logs of Keycloak and of the gateway',
  ]),
  [undefined, undefined, "read oauthErrorDescription and the server's log"],
];

/** The rows for other errors: the code, whether the row fits the error, and the advice. */
const OTHERS = [
  [
    'ERR_KEYCLOAK_HTTP',
    ({ status, oauthError }) => status === 404 && oauthError === 'Realm does not exist',
    'wait, or correct tokenEndpoint',
  ],
  [
    'ERR_KEYCLOAK_HTTP',
    ({ status, retryable }) => retryable && (status === 403 || status === 404),
    'check the gateways; the manager retries the request automatically',
  ],
  [
    'ERR_KEYCLOAK_HTTP',
    ({ message }) => message.includes('compressed with'),
    'turn off compression for token responses',
  ],
  [
    'ERR_KEYCLOAK_HTTP',
    ({ status }) => status === 404 || status === 405,
    'set tokenEndpoint to {base}/realms/{realm}/protocol/openid-connect/token; in Keycloak versions ' +
      'before 17, /auth precedes /realms',
  ],
  [
    'ERR_KEYCLOAK_HTTP',
    ({ status, oauthError }) => status === 500 && oauthError === 'unknown_error',
    "read Keycloak's log, and compare the clocks if you use DPoP; the manager retries the request " +
      'automatically',
  ],
  [
    'ERR_KEYCLOAK_HTTP',
    ({ status }) => [408, 429, 502, 503, 504].includes(status),
    'wait for retryAfterMs; if the error persists, read the logs of Keycloak and of the gateway',
  ],
  ['ERR_KEYCLOAK_HTTP', () => true, 'check the gateways and firewalls in front of Keycloak'],
  [
    'ERR_KEYCLOAK_PROTOCOL',
    ({ status }) => status >= 300 && status < 400,
    'if the redirect leads to Keycloak, use the URL to which it leads',
  ],
  [
    'ERR_KEYCLOAK_PROTOCOL',
    ({ message }) => message.includes('token_type is not DPoP'),
    'update the server, or remove the option dpop',
  ],
  [
    'ERR_KEYCLOAK_PROTOCOL',
    ({ message }) => message.includes('token_type is DPoP'),
    'set dpop: true, or turn off "Require DPoP bound tokens"',
  ],
  [
    'ERR_KEYCLOAK_PROTOCOL',
    ({ message }) => message.includes('neither Bearer nor DPoP'),
    'configure the client to receive access tokens',
  ],
  [
    'ERR_KEYCLOAK_PROTOCOL',
    ({ message }) => message.startsWith('discovery failed'),
    'set issuer to the issuer that the message shows, or set tokenEndpoint instead',
  ],
  ['ERR_KEYCLOAK_PROTOCOL', () => true, 'correct tokenEndpoint'],
  ['ERR_KEYCLOAK_NETWORK', () => true, 'call the URL with curl -v in the same pod'],
  [
    'ERR_KEYCLOAK_TLS',
    () => true,
    'set caFile or NODE_EXTRA_CA_CERTS, correct the host name, or renew the certificate',
  ],
  ['ERR_KEYCLOAK_TIMEOUT', ({ message }) => message.includes('reading '), 'check the storage'],
  [
    'ERR_KEYCLOAK_TIMEOUT',
    () => true,
    'check network policies; raise requestTimeoutMs if Keycloak is slow',
  ],
  [
    'ERR_KEYCLOAK_CREDENTIAL',
    () => true,
    'correct the function, or check the mount and its permissions',
  ],
  ['ERR_KEYCLOAK_INTERNAL', () => true, 'report the bug'],
];

/** Returns the advice for an error of the manager. */
function adviceFor(error) {
  const { code, oauthError, oauthErrorDescription: description = '' } = error;
  if (code === 'ERR_KEYCLOAK_OAUTH') {
    const [, , advice] = REFUSALS.find(
      ([known = oauthError, part = '']) => known === oauthError && description.includes(part),
    );
    return advice;
  }
  return OTHERS.find(([known, fits]) => known === code && fits(error))?.[2] ?? DOCUMENT;
}

module.exports = { adviceFor };
