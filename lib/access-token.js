'use strict';

// The forms in which callers receive a token from the native side.

function asString(token) {
  return token.token;
}

function asObject({ token, isBound, scope, issuedAt, expiresAt }) {
  const tokenType = isBound ? 'DPoP' : 'Bearer';
  const accessToken = { token, tokenType, scope, issuedAt, expiresAt };
  // Some clients, such as Keycloak's admin client, put the result of `getAccessToken` into a
  // header.
  return Object.defineProperty(accessToken, 'toString', { value: () => token });
}

module.exports = { asObject, asString };
