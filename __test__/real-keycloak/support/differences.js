/**
 * The differences of older releases of Keycloak. The tests assume the newest release; only this
 * file knows about others.
 */
'use strict';

const { satisfies } = require('semver');

const { VERSION } = require('../../../tools/keycloak');

const AT_DEBUG_LEVEL = 'For more on this error consult the server log at the debug level.';
const CODE_BEFORE_24 = {
  paths: { oauthError: /^RESTEASY003210/ },
  methods: { oauthError: /^RESTEASY003650/ },
};

/**
 * The name of a test's row, or of a group of rows; the releases with the difference; and the
 * difference: either the reason to skip the row, or the values that replace those of the row.
 */
const DIFFERENCES = [
  [
    'a posted secret where only the header is allowed',
    '<26.6',
    'a client cannot be pinned to a transport',
  ],
  ['a client that requires DPoP proofs', '<26.4', 'DPoP is a preview, which is off'],
  ['a server without DPoP', '<26.4', 'DPoP is a preview, which is off'],
  ['a server without token exchange', '<26.2', 'token exchange is a preview, which is off'],
  ['a server without the JWT grant', '<26.6', 'the grant is a preview, which is off'],
  [
    'a bearer-only client',
    '>=26 <26.6',
    {
      status: 401,
      oauthError: 'unauthorized_client',
      description: 'Invalid client or Invalid client credentials',
      advice: /secret of client "bearer-only" is wrong/,
    },
  ],
  ['a double slash', '<26', 'it is accepted'],
  ['a semicolon', '<26.6', 'it is accepted'],
  ['an unnecessary escape', '<26', 'it is accepted, or another path'],
  ['an error in prose', '>=24 <26', { description: AT_DEBUG_LEVEL }],
  ['an uncaught error of the server', '>=24 <26', { description: AT_DEBUG_LEVEL }],
  ['an uncaught error of the server', '<24', { description: undefined }],
  ['a wrong path in the realm', '<24', { ...CODE_BEFORE_24.paths, status: 404 }],
  ['the path of releases before 17', '<24', CODE_BEFORE_24.paths],
  ['the URL of the realm', '<24', CODE_BEFORE_24.methods],
  ['the URL of the discovery document', '<24', { ...CODE_BEFORE_24.methods, status: 405 }],
  [
    'the authorization endpoint',
    '<24',
    { code: 'ERR_KEYCLOAK_HTTP', oauthError: undefined, advice: /check tokenEndpoint/ },
  ],
  ['a server that sheds load', '<24', 'the release has no option for it'],
  [
    'the root above the path of the server',
    '<26',
    { code: 'ERR_KEYCLOAK_HTTP', status: 404, advice: /not a token endpoint/ },
  ],
  ['the root of the server', '>=24 <26', { description: AT_DEBUG_LEVEL }],
  ['the root of the server', '<24', { oauthError: /^RESTEASY003635/ }],
  ['the URL of the console', '<24', CODE_BEFORE_24.methods],
  ['a lightweight token', '<24', 'the release does not support it'],
  ['EdDSA', '<24', 'the release does not support it'],
  ['clients of other issuers', '<26.6', 'the release does not support them'],
  ['a server that asks for certificates', '<24', 'the release does not read PEM authorities'],
  ['a server that asks for certificates', '>=24 <26', { options: [] }],
];

/** The difference of `what` on the release under test: `leftOut`, `expected` or neither. */
function differenceOf(what) {
  const isMeant = ([name, releases]) => name === what && satisfies(VERSION, releases);
  const [, , difference] = DIFFERENCES.find(isMeant) ?? [];
  return typeof difference === 'string' ? { leftOut: difference } : { expected: difference };
}

/** The options of a test that this release may not support. */
function optionsFor(what) {
  const { leftOut } = differenceOf(what);
  return { skip: leftOut === undefined ? false : `Keycloak ${VERSION}: ${leftOut}` };
}

module.exports = { DIFFERENCES, differenceOf, optionsFor };
