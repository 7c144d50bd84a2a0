'use strict';

// The forms in which callers receive a token of the native side.

function asString(token) {
  return token.token;
}

function asObject({ token, tokenType, scope, issuedAt, expiresAt }) {
  const accessToken = { token, tokenType, scope, issuedAt, expiresAt };
  // Some clients put what `getAccessToken` returns into a header, as Keycloak's admin client does.
  return Object.defineProperty(accessToken, 'toString', { value: () => token });
}

module.exports = { asObject, asString };
