/**
 * The differences of older releases of Keycloak. The tests are written for the newest one; only this
 * file knows about others.
 */
'use strict';

const { VERSION } = require('../../../tools/keycloak');

const AT_DEBUG_LEVEL = 'For more on this error consult the server log at the debug level.';

/**
 * The name of a row of a test, or of a group of rows; the first release with the difference, if
 * there is one, and the first without it; and the difference: the reason to skip the row, or the
 * members that replace those of the row.
 */
const DIFFERENCES = [
  [
    'a posted secret where only the header is allowed',
    '0',
    '26.6',
    'a client cannot be pinned to a transport',
  ],
  ['a client that requires DPoP proofs', '0', '26.4', 'DPoP is a preview, which is off'],
  [
    'a bearer-only client',
    '26',
    '26.6',
    {
      status: 401,
      oauthError: 'unauthorized_client',
      description: 'Invalid client or Invalid client credentials',
      advice: /secret of client "bearer-only" is wrong/,
    },
  ],
  ['a double slash', '0', '26', 'it is accepted'],
  ['a semicolon', '0', '26.6', 'it is accepted'],
  ['an unnecessary escape', '0', '26', 'it is accepted, or another path'],
  ['an error in prose', '24', '26', { description: AT_DEBUG_LEVEL }],
  ['an uncaught error of the server', '24', '26', { description: AT_DEBUG_LEVEL }],
  ['an uncaught error of the server', '0', '24', { description: undefined }],
  ['a wrong path in the realm', '0', '24', { status: 404, oauthError: /^RESTEASY003210/ }],
  ['the path of releases before 17', '0', '24', { oauthError: /^RESTEASY003210/ }],
  ['the URL of the realm', '0', '24', { oauthError: /^RESTEASY003650/ }],
  ['the URL of the discovery document', '0', '24', { status: 405, oauthError: /^RESTEASY003650/ }],
  [
    'the authorization endpoint',
    '0',
    '24',
    { code: 'ERR_KEYCLOAK_HTTP', oauthError: undefined, advice: /check tokenEndpoint/ },
  ],
  ['a server that sheds load', '0', '24', 'the release has no option for it'],
  [
    'the root above the path of the server',
    '0',
    '26',
    { code: 'ERR_KEYCLOAK_HTTP', status: 404, advice: /not a token endpoint/ },
  ],
  ['the root of the server', '24', '26', { description: AT_DEBUG_LEVEL }],
  ['the root of the server', '0', '24', { oauthError: /^RESTEASY003635/ }],
  ['the URL of the console', '0', '24', { oauthError: /^RESTEASY003650/ }],
  ['a lightweight token', '0', '24', 'the release has none'],
  ['EdDSA', '0', '24', 'the release does not support it'],
  ['clients of other issuers', '0', '26.6', 'the release has none'],
  ['a server that asks for certificates', '0', '24', 'it takes no authority in PEM'],
  ['a server that asks for certificates', '24', '26', { options: [] }],
];

const parse = (version) => version.split('.').map(Number);

function isBefore(version, other) {
  const [left, right] = [parse(version), parse(other)];
  const index = right.findIndex((part, at) => part !== left[at]);
  return index >= 0 && left[index] < right[index];
}

/** The difference of `what` on the release under test: `leftOut`, `expected` or neither. */
function differenceOf(what) {
  const [, , , difference] =
    DIFFERENCES.find(
      ([name, from, before]) =>
        name === what && isBefore(VERSION, before) && !isBefore(VERSION, from),
    ) ?? [];
  return typeof difference === 'string' ? { leftOut: difference } : { expected: difference };
}

/** The options of a test that this release may not support. */
function optionsFor(what) {
  const { leftOut } = differenceOf(what);
  return { skip: leftOut === undefined ? false : `Keycloak ${VERSION}: ${leftOut}` };
}

module.exports = { DIFFERENCES, differenceOf, optionsFor };
