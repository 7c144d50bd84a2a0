'use strict';

/**
 * A preload for a second run of test files: every manager sends its requests with `tokenFetch:
 * true`, unless another option excludes `tokenFetch`. A test whose result then differs reads
 * `WITH_TOKEN_FETCH`.
 */

const managers = require('../../lib/manager.js');
const reconfigure = require('../../lib/reconfigure.js');

const EXCLUDED = [
  'ca',
  'caFile',
  'clientCertificate',
  'clientCertificateFile',
  'clientKey',
  'clientKeyFile',
  'proxy',
  'skipTlsVerify',
  'tokenFetch',
];

function withTokenFetch(options) {
  const isPlain = options !== null && typeof options === 'object' && !Array.isArray(options);
  if (!isPlain || EXCLUDED.some((name) => name in options)) return options;
  // This copies the descriptors, so that getters of the options still run.
  return Object.create(Object.getPrototypeOf(options), {
    ...Object.getOwnPropertyDescriptors(options),
    tokenFetch: { value: true, enumerable: true },
  });
}

const Native = managers.KeycloakTokenManager;
managers.KeycloakTokenManager = class KeycloakTokenManager extends Native {
  constructor(options) {
    super(withTokenFetch(options));
  }

  [reconfigure](options) {
    super[reconfigure](withTokenFetch(options));
  }
};

process.env.WITH_TOKEN_FETCH = 'true';
