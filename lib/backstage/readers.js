/**
 * Readers for the configuration of existing plugins, which have their own names for the options or
 * keep some options outside the section with the credentials. Next to the credentials, each section
 * may have `sharedCache` and `storeKey`. The readers ignore all keys that they do not know.
 */
'use strict';

const {
  atKey,
  configError,
  incompleteError,
  invalid,
  readList,
  sharedStore,
  whatIsMissing,
  withoutEmpty,
} = require('./config.js');

const DEFAULT_SSO_BASE_URL = 'https://sso.redhat.com';

/**
 * Reads `augment.kagenti` of the augment plugin: the credentials are below `auth`, and the other
 * options are next to it. `baseUrl` is the API's URL.
 */
function readAugmentKagentiOptions(config, key = 'augment.kagenti') {
  const section = sectionAt(config, key);
  const client = section.client({
    tokenEndpoint: 'auth.tokenEndpoint',
    clientId: 'auth.clientId',
    clientSecret: 'auth.clientSecret',
  });
  return (
    client && {
      ...client,
      ...present({
        skipTlsVerify: section.flag('skipTlsVerify'),
        tokenExpiryBufferSeconds: section.number('tokenExpiryBufferSeconds'),
        resource: resourceAt(section.text('baseUrl')),
      }),
    }
  );
}

/** Reads `costManagement` of the cost-management plugin. */
function readCostManagementOptions(config, key = 'costManagement') {
  const section = sectionAt(config, key);
  const client = section.client({ clientId: 'clientId', clientSecret: 'clientSecret' });
  const base = withoutSlash(section.text('ssoBaseUrl') ?? DEFAULT_SSO_BASE_URL);
  return (
    client && {
      tokenEndpoint: `${base}/auth/realms/redhat-external/protocol/openid-connect/token`,
      ...client,
      scope: 'api.console',
    }
  );
}

/** Reads a provider of the Keycloak catalog module: `catalog.providers.keycloakOrg.<id>`. */
function readKeycloakOrgOptions(config, id = 'default') {
  const key = `catalog.providers.keycloakOrg.${id}`;
  const section = sectionAt(config, key);
  // A user name without a client secret means that the section also has a password.
  if (section.text('username') !== undefined && section.text('clientSecret') === undefined) {
    throw configError(
      key,
      'the manager cannot use a user name and password; set clientId and clientSecret of a ' +
        'client with a service account',
    );
  }
  const client = section.client({ clientId: 'clientId', clientSecret: 'clientSecret' });
  if (client === undefined) return undefined;
  const baseUrl = section.text('baseUrl');
  if (baseUrl === undefined) {
    throw incompleteError(atKey(key), whatIsMissing(['clientId', 'clientSecret'], ['baseUrl']));
  }
  const realm = encodeURIComponent(section.text('loginRealm') ?? 'master');
  return {
    tokenEndpoint: `${withoutSlash(baseUrl)}/realms/${realm}/protocol/openid-connect/token`,
    ...client,
    resource: resourceAt(baseUrl),
  };
}

/** Reads a section with the keys `tokenUrl`, `clientId`, `clientSecret` and `scopes`. */
function readOAuthClientOptions(config, key) {
  if (typeof key !== 'string' || key === '') throw invalid('key: expected a non-empty string');
  const section = sectionAt(config, key);
  const client = section.client({
    tokenEndpoint: 'tokenUrl',
    clientId: 'clientId',
    clientSecret: 'clientSecret',
  });
  return client && { ...client, ...present({ scope: section.textOrTexts('scopes') }) };
}

/** Reads values below a key. Empty strings count as absent, although Backstage rejects them. */
function sectionAt(config, key) {
  const valueAt = (name) => withoutEmpty(config.getOptional(`${key}.${name}`));
  const readWith = (read) => (name) => {
    if (valueAt(name) === undefined) return undefined;
    try {
      return read(`${key}.${name}`);
    } catch (error) {
      throw configError(key, error.message);
    }
  };
  const text = readWith((path) => config.getOptionalString(path));
  const texts = readWith((path) => readList(config, path));
  const flag = readWith((path) => config.getOptionalBoolean(path));
  const store = readWith(() => sharedStore(config));
  const storeBeside = (folder) =>
    flag(`${folder}sharedCache`)
      ? present({ store: store(`${folder}sharedCache`), storeKey: text(`${folder}storeKey`) })
      : {};
  return {
    text,
    number: readWith((path) => config.getOptionalNumber(path)),
    flag,
    textOrTexts: (name) => (Array.isArray(valueAt(name)) ? texts(name) : text(name)),
    /**
     * Returns the options with these keys, which are all required; `undefined` if all are empty.
     */
    client(keys) {
      const entries = Object.entries(keys).map(([option, name]) => [option, text(name), name]);
      const missing = entries.filter(([, value]) => value === undefined).map(([, , name]) => name);
      if (missing.length === entries.length) return undefined;
      if (missing.length > 0) {
        const there = Object.values(keys).filter((name) => !missing.includes(name));
        throw incompleteError(atKey(key), whatIsMissing(there, missing));
      }
      const folder = keys.clientSecret.replace(/[^.]*$/, '');
      return { ...Object.fromEntries(entries), ...storeBeside(folder) };
    },
  };
}

function present(options) {
  return Object.fromEntries(Object.entries(options).filter(([, value]) => value !== undefined));
}

const resourceAt = (baseUrl) => (baseUrl === undefined ? undefined : { baseUrl });
const withoutSlash = (url) => url.replace(/\/+$/, '');

module.exports = {
  readAugmentKagentiOptions,
  readCostManagementOptions,
  readKeycloakOrgOptions,
  readOAuthClientOptions,
};
