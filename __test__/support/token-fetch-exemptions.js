'use strict';

/** The behaviour tests that also run with `tokenFetch: true`, by file. */
const FILES = [
  'calls',
  'client-assertions',
  'discovery',
  'failures',
  'freshness',
  'invalidation',
  'logging',
  'oidc-provider',
  'redaction',
  'rotation',
  'secrets',
  'signals',
  'timeouts',
  'wire',
];

/** The tests that do not apply with `tokenFetch`, by file and name, each with the reason. */
const EXEMPT = {
  'failures.test.js': {
    'with a compressed body gives ERR_KEYCLOAK_PROTOCOL, and the held token stays':
      'fetch decodes a compressed body, even if it did not ask for one',
  },
};

module.exports = { EXEMPT, FILES };
