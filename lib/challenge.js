'use strict';

// Reads the header `WWW-Authenticate` (RFC 9110, section 11.6.1), which may contain several
// challenges.

/** The schemes that APIs use for access tokens. For any other scheme, a new token does not help. */
const TOKEN_SCHEMES = /^(bearer|dpop|jwt|oauth|token)$/i;
const QUOTED = /"(\\.|[^"\\])*"/g;
/**
 * A parameter. The pattern consumes quoted values as a whole, so that their content never counts as
 * a parameter.
 */
const PARAMETER = /(?<![\w-])([\w-]+)\s*=\s*(?:"((?:\\.|[^"\\])*)"|([^\s,"]*))/g;

/** Whether one of the challenges asks for an access token, or no challenge names a scheme. */
function asksForToken(challenges) {
  const unquoted = challenges.replace(QUOTED, '""');
  // A scheme is a word that is not the name of a parameter.
  const schemes = [...unquoted.matchAll(/(?:^|,)\s*([^\s,="]+)(?!\s*=)(?=[\s,]|$)/g)];
  return schemes.length === 0 || schemes.some(([, name]) => TOKEN_SCHEMES.test(name));
}

/** Returns the values of a parameter in all challenges. */
function parametersOf(challenges, name) {
  return [...challenges.matchAll(PARAMETER)]
    .filter(([, found]) => found.toLowerCase() === name)
    .map(([, , quoted, plain]) => quoted?.replace(/\\(.)/g, '$1') ?? plain);
}

module.exports = { asksForToken, parametersOf };
