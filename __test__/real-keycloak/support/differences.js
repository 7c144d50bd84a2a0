/**
 * The differences of older releases of Keycloak. The tests are written for the newest one; only this
 * file knows about others.
 */
'use strict';

const { VERSION } = require('../../../tools/keycloak');

const AT_DEBUG_LEVEL = 'For more on this error consult the server log at the debug level.';

/**
 * `what` names a row of a test, or a group of rows; the releases are `from` (the first) to `before`
 * (the first without the difference). `expected` replaces members of the row; `leftOut` is the
 * reason to skip it.
 */
const DIFFERENCES = [
  {
    what: 'a posted secret where only the header is allowed',
    before: '26.6',
    leftOut: 'a client cannot be pinned to a transport',
  },
  {
    what: 'a client that requires DPoP proofs',
    before: '26.4',
    leftOut: 'DPoP is a preview there, which is off',
  },
  {
    what: 'a bearer-only client',
    from: '26',
    before: '26.6',
    expected: {
      status: 401,
      oauthError: 'unauthorized_client',
      description: 'Invalid client or Invalid client credentials',
      advice: /secret of client "bearer-only" is wrong/,
    },
  },
  { what: 'a double slash', before: '26', leftOut: 'it is accepted' },
  { what: 'a semicolon', before: '26.6', leftOut: 'it is accepted' },
  { what: 'an unnecessary escape', before: '26', leftOut: 'it is accepted, or another path' },
  {
    what: 'an error in prose',
    from: '24',
    before: '26',
    expected: { description: AT_DEBUG_LEVEL },
  },
  {
    what: 'an uncaught error of the server',
    from: '24',
    before: '26',
    expected: { description: AT_DEBUG_LEVEL },
  },
  { what: 'an uncaught error of the server', before: '24', expected: { description: undefined } },
  {
    what: 'a wrong path in the realm',
    before: '24',
    expected: { status: 404, oauthError: /^RESTEASY003210/ },
  },
  {
    what: 'the path of releases before 17',
    before: '24',
    expected: { oauthError: /^RESTEASY003210/ },
  },
  { what: 'the URL of the realm', before: '24', expected: { oauthError: /^RESTEASY003650/ } },
  {
    what: 'the URL of the discovery document',
    before: '24',
    expected: { status: 405, oauthError: /^RESTEASY003650/ },
  },
  {
    what: 'the authorization endpoint',
    before: '24',
    expected: { code: 'ERR_KEYCLOAK_HTTP', oauthError: undefined, advice: /check tokenEndpoint/ },
  },
  { what: 'a server that sheds load', before: '24', leftOut: 'there is no option for it' },
  {
    what: 'the root above the path of the server',
    before: '26',
    expected: { code: 'ERR_KEYCLOAK_HTTP', status: 404, advice: /not a token endpoint/ },
  },
  {
    what: 'the root of the server',
    from: '24',
    before: '26',
    expected: { description: AT_DEBUG_LEVEL },
  },
  { what: 'the root of the server', before: '24', expected: { oauthError: /^RESTEASY003635/ } },
  { what: 'the URL of the console', before: '24', expected: { oauthError: /^RESTEASY003650/ } },
  { what: 'a lightweight token', before: '24', leftOut: 'there are none' },
  { what: 'EdDSA', before: '24', leftOut: 'it is not known' },
  { what: 'clients of other issuers', before: '26.6', leftOut: 'there are none' },
  {
    what: 'a server that asks for certificates',
    before: '24',
    leftOut: 'it takes no authority in PEM',
  },
  { what: 'a server that asks for certificates', before: '26', expected: { options: [] } },
];

const parse = (version) => version.split('.').map(Number);

function isBefore(version, other) {
  const [left, right] = [parse(version), parse(other)];
  const index = right.findIndex((part, at) => part !== left[at]);
  return index >= 0 && left[index] < right[index];
}

/** The difference of `what` on the release under test: `leftOut`, `expected` or neither. */
function differenceOf(what) {
  return (
    DIFFERENCES.find(
      (row) =>
        row.what === what &&
        isBefore(VERSION, row.before) &&
        !(row.from && isBefore(VERSION, row.from)),
    ) ?? {}
  );
}

/** The options of a test that this release may not support. */
function optionsFor(what) {
  const { leftOut } = differenceOf(what);
  return { skip: leftOut === undefined ? false : `Keycloak ${VERSION}: ${leftOut}` };
}

module.exports = { DIFFERENCES, differenceOf, optionsFor };
