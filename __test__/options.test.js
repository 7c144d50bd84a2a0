'use strict';

// What the constructor takes and refuses.

const assert = require('node:assert/strict');
const { describe, test } = require('node:test');
const tls = require('node:tls');
const { inspect } = require('node:util');
const { KeycloakTokenError, KeycloakTokenManager } = require('..');

/** Stands in every string that must not come back in a message. */
const CANARY = 'canary-7f3a';
const URL_OF_TOKENS = 'https://sso.example/realms/r/protocol/openid-connect/token';
const BASE = { tokenEndpoint: URL_OF_TOKENS, clientId: `id-${CANARY}`, clientSecret: CANARY };
const LOGGER = { error() {}, warn() {}, info() {}, debug() {} };

/** Another value than a string, a number, a boolean, an array, an object and a function. */
const ODD = { null: null, 'a symbol': Symbol(CANARY), 'a bigint': 1n };
const TEXT = { 'a string': CANARY, 'an empty string': '' };
const NUMBERS = { 'a number': 1, NaN: Number.NaN };
const REST = { 'an array': [CANARY], 'an object': { a: CANARY }, 'a function': () => CANARY };

const NOT_TEXT = { ...ODD, ...NUMBERS, ...REST, 'a boolean': true, 'an empty string': '' };
const NOT_FLAG = { ...ODD, ...NUMBERS, ...REST, ...TEXT, 'a string with a boolean': 'true' };
const NOT_INTEGER = {
  ...ODD,
  ...REST,
  ...TEXT,
  'a boolean': true,
  NaN: Number.NaN,
  infinity: Number.POSITIVE_INFINITY,
  'minus infinity': Number.NEGATIVE_INFINITY,
  'a fraction': 1.5,
  'a negative number': -1,
  'a string with a number': '60',
};
const { 'a function': _function, ...NOT_SECRET } = NOT_TEXT;
const { 'an array': _array, ...NOT_SCOPE } = NOT_TEXT;
const { 'an object': _object, ...NOT_RECORD } = { ...NOT_TEXT, ...TEXT };

/** By option: its wrong values by name. */
const WRONG = {
  tokenEndpoint: {
    ...NOT_TEXT,
    prose: CANARY,
    'a relative URL': `/realms/${CANARY}/token`,
    'a URL without scheme': `//${CANARY}.example/token`,
    'another scheme': `ftp://${CANARY}.example/token`,
    'no host': 'https://',
    'a user name': `https://${CANARY}@sso.example/token`,
    'user name and password': `https://user:${CANARY}@sso.example/token`,
    'a fragment': `${URL_OF_TOKENS}#${CANARY}`,
    'an empty fragment': `${URL_OF_TOKENS}#`,
    'a URL object': new URL(URL_OF_TOKENS),
  },
  clientId: NOT_TEXT,
  clientSecret: { ...NOT_SECRET, 'a lone surrogate': `${CANARY}\ud800` },
  clientSecretFile: { ...NOT_TEXT, 'a NUL character': `/${CANARY}\0` },
  clientAuthentication: {
    ...NOT_TEXT,
    'another word': CANARY,
    'upper case': 'CLIENT_SECRET_POST',
    'a method without a secret': 'none',
  },
  scope: {
    ...NOT_SCOPE,
    'an empty array': [],
    'an array with an empty string': [CANARY, ''],
    'an array with two scopes in one': [`${CANARY} b`],
    'an array with a number': [CANARY, 1],
    'a hole': [CANARY, undefined],
    'two spaces': `${CANARY}  b`,
    'a line feed': `${CANARY}\nb`,
    'a quote': `${CANARY}"`,
    'not ASCII': `${CANARY}é`,
  },
  parameters: {
    ...NOT_RECORD,
    'a number in it': { audience: 1, other: CANARY },
    'null in it': { audience: null },
    'an array in it': { audience: [CANARY] },
    'a map': new Map([['audience', CANARY]]),
    'a date': new Date(),
    grant_type: { grant_type: CANARY },
    client_id: { client_id: CANARY },
    client_secret: { client_secret: CANARY },
    scope: { scope: CANARY },
    client_assertion: { client_assertion: CANARY },
    client_assertion_type: { client_assertion_type: CANARY },
  },
  tokenExpiryBufferSeconds: NOT_INTEGER,
  requestTimeoutMs: { ...NOT_INTEGER, zero: 0 },
  backgroundRefresh: NOT_FLAG,
  ca: {
    ...NOT_TEXT,
    'no PEM': CANARY,
    'broken PEM': `-----BEGIN CERTIFICATE-----\n${CANARY}\n-----END CERTIFICATE-----\n`,
  },
  caFile: { ...NOT_TEXT, 'a NUL character': `/${CANARY}\0` },
  skipTlsVerify: NOT_FLAG,
  resource: {
    ...NOT_RECORD,
    'no base': {},
    'a base that is undefined': { baseUrl: undefined },
    'a URL object for a base': { baseUrl: new URL(URL_OF_TOKENS) },
    'a relative base': { baseUrl: `/${CANARY}` },
    'a base without host': { baseUrl: 'https://' },
    'a base with another scheme': { baseUrl: `ws://${CANARY}/` },
    'a base with a user': { baseUrl: `https://${CANARY}@api.example/` },
    'a base with a query': { baseUrl: `https://api.example/?${CANARY}` },
    'a base with a fragment': { baseUrl: `https://api.example/#${CANARY}` },
    'a header with a line feed': { baseUrl: URL_OF_TOKENS, userHeader: `X\n${CANARY}` },
    'an empty header': { baseUrl: URL_OF_TOKENS, userHeader: '' },
    'the header of the token': { baseUrl: URL_OF_TOKENS, userHeader: 'authorization' },
    'a header that frames': { baseUrl: URL_OF_TOKENS, userHeader: 'Transfer-Encoding' },
    'a string for fetch': { baseUrl: URL_OF_TOKENS, fetch: CANARY },
    'another member': { baseUrl: URL_OF_TOKENS, baseURL: CANARY },
  },
  logger: {
    ...NOT_FLAG,
    'a boolean': true,
    'no debug': { ...LOGGER, debug: undefined },
    'a string for warn': { ...LOGGER, warn: CANARY },
  },
  name: NOT_TEXT,
};

/** Options that there are not: of other libraries, misspelt, and with a meaning elsewhere. */
const UNKNOWN = [
  ...['issuer', 'proxy', 'privateKey', 'privateKeyFile', 'keyId', 'signingAlgorithm'],
  ...['assertionAudience', 'clientCertificate', 'clientCertificateFile', 'clientKey'],
  ...['clientKeyFile', 'clientAssertionFile', 'clientAssertionType', 'clientsecret', 'realm', ''],
];

/** What the constructor throws, after a look at what every such error must be. */
function refusal(options, name) {
  let error;
  try {
    new KeycloakTokenManager(options).close();
  } catch (thrown) {
    error = thrown;
  }
  assert.ok(error instanceof KeycloakTokenError, `${name}: ${error ? inspect(error) : 'accepted'}`);
  assert.equal(error.code, 'ERR_KEYCLOAK_CONFIG', name);
  assert.equal(error.retryable, false, name);
  assert.match(error.stack, /options\.test\.js/, name);
  for (const text of [error.message, error.stack, inspect(error), JSON.stringify(error)]) {
    assert.ok(!text.includes(CANARY), `${name}: ${text}`);
  }
  return error;
}

function accepted(options) {
  const manager = new KeycloakTokenManager(options);
  assert.equal(manager.snapshot().state, 'empty');
  return manager.close();
}

describe('options that are refused', () => {
  for (const [option, values] of Object.entries(WRONG)) {
    test(`a wrong ${option} is named and its value is not`, () => {
      for (const [name, value] of Object.entries(values)) {
        const base = { ...BASE, ...(option === 'clientSecretFile' && { clientSecret: undefined }) };
        const { message } = refusal({ ...base, [option]: value }, `${option}: ${name}`);
        assert.match(message, new RegExp(`^invalid options: ${option}\\b[^;]*$`), name);
      }
    });
  }

  test('an option that there is not is named', () => {
    for (const name of UNKNOWN) {
      const { message } = refusal({ ...BASE, [name]: CANARY }, name);
      assert.equal(message, `invalid options: ${name}: no such option`);
    }
  });

  test('a missing option is named', () => {
    for (const name of ['tokenEndpoint', 'clientId']) {
      for (const absent of [{}, { [name]: undefined }]) {
        const { [name]: _left, ...rest } = BASE;
        const { message } = refusal({ ...rest, ...absent }, name);
        assert.match(message, new RegExp(`^invalid options: ${name}: .*missing`), name);
      }
    }
  });

  test('there is one credential, not two and not none', () => {
    for (const [name, more, problem] of [
      ['both', { clientSecretFile: `/${CANARY}` }, 'both are given'],
      ['none', { clientSecret: undefined }, 'neither is given'],
    ]) {
      const { message } = refusal({ ...BASE, ...more }, name);
      assert.match(message, /clientSecret, clientSecretFile/, name);
      assert.ok(message.includes(problem), message);
    }
  });

  test('options are an object', () => {
    for (const [name, value] of Object.entries({ ...NOT_RECORD, undefined: undefined })) {
      assert.match(refusal(value, name).message, /\boptions: expected an object/, name);
    }
  });

  test('all faults are reported in one message', () => {
    const wrong = Object.keys(WRONG).filter((option) => option !== 'clientSecretFile');
    const faulty = Object.fromEntries(wrong.map((option) => [option, null]));
    const { message } = refusal({ ...faulty, issuer: CANARY, zebra: CANARY }, 'all at once');
    const faults = message.replace('invalid options: ', '').split('; ');
    const named = faults.map((fault) => fault.split(':')[0]);
    assert.deepEqual(named.sort(), [...wrong, 'issuer', 'zebra'].sort());
  });

  test('a name is escaped before it is repeated', () => {
    const { message } = refusal({ ...BASE, 'a\nb\u001b[31m': 1 }, 'an option');
    assert.match(message, /a\\nb\\u\{1b\}\[31m: no such option/);
    const parameters = { 'a\nb': 1 };
    assert.match(refusal({ ...BASE, parameters }, 'a parameter').message, /parameters\.a\\nb/);
  });
});

describe('options that are accepted', () => {
  test('every option has its right values', async () => {
    const fileOnly = { clientSecret: undefined, clientSecretFile: '/nowhere/secret' };
    for (const more of [
      {},
      { tokenEndpoint: 'HTTP://127.0.0.1:8080/token?a=b' },
      { tokenEndpoint: 'http://[::1]/token' },
      { clientSecret: () => 'secret' },
      { clientSecret: ' ' },
      fileOnly,
      { clientAuthentication: 'client_secret_post' },
      { clientAuthentication: 'client_secret_basic' },
      { scope: 'a b' },
      { scope: ['a', 'b'] },
      { parameters: {} },
      { parameters: { audience: '', resource: 'x' } },
      { tokenExpiryBufferSeconds: 0 },
      { tokenExpiryBufferSeconds: 1e12 },
      { requestTimeoutMs: 1 },
      { requestTimeoutMs: 1e12 },
      { backgroundRefresh: false },
      { ca: tls.rootCertificates.slice(0, 2).join('\n') },
      { caFile: '/nowhere/ca.pem' },
      { skipTlsVerify: false },
      { resource: { baseUrl: 'https://api.example' } },
      { resource: { baseUrl: 'HTTP://[::1]:80/a/b/', userHeader: undefined, fetch: undefined } },
      { resource: { baseUrl: 'https://a', userHeader: 'X-User', fetch: () => undefined } },
      { logger: LOGGER },
      { logger: Object.create(LOGGER) },
      { name: 'a name' },
    ]) {
      await accepted({ ...BASE, ...more });
    }
  });

  test('undefined counts as absent', () => {
    const absent = [...Object.keys(WRONG), ...UNKNOWN].filter((option) => !(option in BASE));
    return accepted({ ...BASE, ...Object.fromEntries(absent.map((name) => [name, undefined])) });
  });

  test('a frozen object and an instance of a class will do', async () => {
    await accepted(Object.freeze({ ...BASE }));
    await accepted(Object.assign(new (class Options {})(), BASE));
  });

  test('the name is the client id unless it is given', async () => {
    for (const [given, expected] of [
      [undefined, BASE.clientId],
      ['a name', 'a name'],
    ]) {
      const manager = new KeycloakTokenManager({ ...BASE, name: given });
      assert.equal(manager.snapshot().name, expected);
      await manager.close();
    }
  });
});
