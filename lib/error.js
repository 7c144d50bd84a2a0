'use strict';

// The native side returns failures as data. Only this file turns them into errors, so every
// rejection has a JavaScript stack, and `instanceof` works in every JavaScript realm.

const DETAILS = [
  'status',
  'oauthError',
  'oauthErrorDescription',
  'retryAfterMs',
  'attempts',
  'tokenEndpoint',
  'clientId',
];

/** Marks the errors of every copy of this package, so that `instanceof` recognises them. */
const BRAND = Symbol.for('keycloak-token-manager.error');

class KeycloakTokenError extends Error {
  constructor(failure, cause = 'cause' in failure ? failure.cause : systemFault(failure)) {
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

Object.defineProperty(KeycloakTokenError.prototype, BRAND, { value: true });
Object.defineProperty(KeycloakTokenError, Symbol.hasInstance, {
  value(error) {
    if (this === KeycloakTokenError) return typeof error === 'object' && error?.[BRAND] === true;
    // A subclass recognises only its own instances.
    return Function.prototype[Symbol.hasInstance].call(this, error);
  },
});

/** Returns a system error as Node reports it, for callers that decide on retries by its code. */
function systemFault({ message, systemCode: code }) {
  return code === undefined ? undefined : Object.assign(new Error(message), { code });
}

/** Returns the error for an invalid argument. */
function badRequest(message) {
  return new KeycloakTokenError({ code: 'ERR_KEYCLOAK_REQUEST', message, retryable: false });
}

/** Returns the error for a bug in this package. */
function internal(cause) {
  const message = 'internal error in keycloak-token-manager; please report it';
  return new KeycloakTokenError(
    { code: 'ERR_KEYCLOAK_INTERNAL', message, retryable: false },
    cause,
  );
}

module.exports = { KeycloakTokenError, badRequest, internal };
