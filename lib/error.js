'use strict';

// Failures cross the boundary as data; this is the only place that makes errors of them, so every
// rejection has a JavaScript stack and `instanceof` holds in every realm that loads this file.

const DETAILS = [
  'status',
  'oauthError',
  'oauthErrorDescription',
  'retryAfterMs',
  'attempts',
  'tokenEndpoint',
  'clientId',
];

class KeycloakTokenError extends Error {
  constructor(failure, cause = failure.cause) {
    super(failure.message, cause === undefined ? undefined : { cause });
    this.code = failure.code;
    this.retryable = failure.retryable;
    for (const detail of DETAILS) {
      if (failure[detail] !== undefined) this[detail] = failure[detail];
    }
  }
}

Object.defineProperty(KeycloakTokenError.prototype, 'name', {
  value: 'KeycloakTokenError',
  configurable: true,
  writable: true,
});

/** An argument of a call is wrong. */
function badRequest(message) {
  return new KeycloakTokenError({ code: 'ERR_KEYCLOAK_REQUEST', message, retryable: false });
}

/** An option has a getter that throws, or the like. */
function unreadable(cause) {
  const message = 'invalid options: an option cannot be read; see cause';
  return new KeycloakTokenError({ code: 'ERR_KEYCLOAK_CONFIG', message, retryable: false }, cause);
}

module.exports = { KeycloakTokenError, badRequest, unreadable };
