'use strict';

// The flags and environment variables of the command line, derived from `options.json`. A flag has
// the name of its option in kebab-case. A variable has the name in capital letters, with the prefix
// `KEYCLOAK_`.

const table = require('../../options.json');

/**
 * The options of a long-lived manager, which have no meaning for a command that requests a single
 * token.
 */
const OF_A_SERVICE = [
  'backgroundRefresh',
  'tokenExpiryBufferSeconds',
  'requestTimeoutMs',
  'name',
  ...['store', 'storeKey', 'storeUserTokens', 'maxUserTokens', 'propagateTraceContext'],
  // This one is not an option of a manager, but a key of a configuration section.
  'telemetry',
];

/** Groups of alternative options. A flag replaces the variables of its group. */
const GROUPS = [
  ['tokenEndpoint', 'issuer'],
  [
    ...['clientSecret', 'clientSecretFile', 'privateKey', 'privateKeyFile'],
    ...['clientCertificate', 'clientCertificateFile', 'clientKey', 'clientKeyFile'],
    'clientAssertionFile',
  ],
  ['ca', 'caFile'],
];

const TEXTS = ['string', 'url', 'path', 'choice'];

/** Returns the form of an option's flag and variable; `undefined` if it can have neither. */
function formOf({ kind, schema, members }) {
  if (members !== undefined) return undefined;
  if (TEXTS.includes(kind)) return 'text';
  if (kind !== undefined) return kind;
  if (schema === undefined) return undefined;
  const branches = schema.anyOf ?? [schema];
  if (branches.some(({ type }) => type === 'array')) return 'list';
  if (branches.some(({ type }) => type === 'object')) return 'record';
  return branches[0].type === 'boolean' ? 'boolean' : 'text';
}

const kebab = (name) => name.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`);
const variableOf = (name) =>
  `KEYCLOAK_${name.replace(/[A-Z]/g, (letter) => `_${letter}`).toUpperCase()}`;

/**
 * Whether the option's value is a secret, which no flag may set. A proxy URL need not contain a
 * password, so a flag may set it.
 */
const isSecret = ({ name, secret }) => secret === true && name !== 'proxy';

/**
 * Each option as `{ name, flag, variable, form, isSecret, hasFlag, hasFile, summary }`. A secret or
 * a multi-line text has a variable but no flag.
 */
const options = table
  .filter(({ name }) => !OF_A_SERVICE.includes(name))
  .map((row) => ({
    name: row.name,
    flag: kebab(row.name),
    variable: variableOf(row.name),
    form: formOf(row),
    isSecret: isSecret(row),
    hasFlag: !isSecret(row) && row.kind !== 'pem',
    hasFile: table.some(({ name }) => name === `${row.name}File`),
    summary: row.summary.replaceAll('`', '').split(/(?<=\.) /)[0],
  }))
  .filter(({ form }) => form !== undefined);

/** The names of all options that hold a secret, including the options without a flag. */
const secretNames = table.filter(({ secret }) => secret === true).map(({ name }) => name);

const groupOf = (name) => GROUPS.find((group) => group.includes(name)) ?? [name];

module.exports = { OF_A_SERVICE, groupOf, options, secretNames };
