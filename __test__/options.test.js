'use strict';

// The options that the constructor accepts and refuses.

const assert = require('node:assert/strict');
const { generateKeyPairSync } = require('node:crypto');
const { describe, test } = require('node:test');
const tls = require('node:tls');
const { inspect } = require('node:util');
const { KeycloakTokenError, KeycloakTokenManager } = require('..');
const native = require('../lib/native.js');
const table = require('../options.json');
const { jwkOf } = require('./support/jwk.js');

/** Every wrong string contains this text, and no message may contain it. */
const CANARY = 'canary-7f3a';
const URL_OF_TOKENS = 'https://sso.example/realms/r/protocol/openid-connect/token';
const BASE = { tokenEndpoint: URL_OF_TOKENS, clientId: `id-${CANARY}`, clientSecret: CANARY };
const LOGGER = { error() {}, warn() {}, info() {}, debug() {} };

/** Values that are not a string, a number, a boolean, an array, an object or a function. */
const ODD = { null: null, 'a symbol': Symbol(CANARY), 'a bigint': 1n };
const TEXT = { 'a string': CANARY, 'an empty string': '' };
const NUMBERS = { 'a number': 1, NaN: Number.NaN };
const REST = { 'an array': [CANARY], 'an object': { a: CANARY }, 'a function': () => CANARY };

const NOT_TEXT = { ...ODD, ...NUMBERS, ...REST, 'a boolean': true, 'an empty string': '' };
const NOT_FLAG = { ...ODD, ...NUMBERS, ...REST, ...TEXT, 'a string with a boolean': 'true' };
const NOT_FINITE = {
  NaN: Number.NaN,
  infinity: 1 / 0,
  'minus infinity': -1 / 0,
  'a fraction': 1.5,
};
const NOT_INTEGER = { ...ODD, ...REST, ...TEXT, ...NOT_FINITE, 'a boolean': true, digits: '60' };
const { 'a function': _function, ...NOT_SECRET } = NOT_TEXT;
const { 'an array': _array, ...NOT_SCOPE } = NOT_TEXT;
const NOT_VALUES = {
  ...NOT_SCOPE,
  'an empty array': [],
  'an array with a number': [CANARY, 1],
  'an array with an empty string': [CANARY, ''],
};
const { 'an object': _object, ...NOT_RECORD } = { ...NOT_TEXT, ...TEXT };

const { privateKey: RSA } = generateKeyPairSync('rsa', { modulusLength: 2048 });
const { privateKey: EC, publicKey: EC_PUBLIC } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
const { privateKey: ED } = generateKeyPairSync('ed25519');
const pem = (key, more = {}) => key.export({ type: 'pkcs8', format: 'pem', ...more });
const ENCRYPTED = pem(RSA, { cipher: 'aes-256-cbc', passphrase: CANARY });
const CERTIFICATE = tls.rootCertificates[0];

/** Options that replace the secret with another credential. */
const BY_KEY = { clientSecret: undefined, privateKey: pem(EC) };
const FILES = { clientCertificateFile: '/nowhere/tls.crt', clientKeyFile: '/nowhere/tls.key' };
const BY_CERTIFICATE = { clientSecret: undefined, ...FILES };
const BY_ASSERTION = { clientSecret: undefined, clientAssertionFile: '/nowhere/token' };

const STORE = { get: async () => null, set: async () => {}, delete: async () => {} };
const STORE_KEY = 'a secret of at least 24 characters';

const NOT_KEY = { ...NOT_SECRET, ...REST, prose: CANARY, 'an encrypted key': ENCRYPTED };

/** For each kind of option, the wrong values, keyed by a description. */
const WRONG_OF_KIND = {
  string: () => NOT_TEXT,
  pem: () => NOT_TEXT,
  choice: () => ({ ...NOT_TEXT, 'another word': CANARY }),
  path: () => ({ ...NOT_TEXT, 'a NUL character': `/${CANARY}\0` }),
  integer: ({ minimum }) => ({ ...NOT_INTEGER, 'less than the minimum': minimum - 1 }),
  boolean: () => NOT_FLAG,
  url: () => ({
    ...NOT_TEXT,
    prose: CANARY,
    'another scheme': `ftp://${CANARY}.example/token`,
    'a user name': `https://${CANARY}@sso.example/token`,
    'a fragment': `${URL_OF_TOKENS}#${CANARY}`,
  }),
};

/** Further wrong values of some options, in addition to those of their kind. */
const WRONG_BESIDES = {
  tokenEndpoint: { 'a URL object': new URL(URL_OF_TOKENS) },
  clientSecret: { ...NOT_SECRET, 'a lone surrogate': `${CANARY}\ud800` },
  clientAuthentication: {
    'another method': 'none',
    'the method for files': 'client_assertion_file',
  },
  privateKey: { ...NOT_KEY, 'a public JWK': jwkOf(EC_PUBLIC) },
  dpopKey: { ...NOT_KEY, 'a public JWK': jwkOf(EC_PUBLIC) },
  signingAlgorithm: {
    'an algorithm for secrets': 'HS256',
    'an algorithm for another kind of key': 'RS256',
  },
  clientCertificate: { prose: CANARY, 'half of a certificate': CERTIFICATE.slice(0, 300) },
  clientKey: NOT_KEY,
  scope: {
    ...NOT_SCOPE,
    'an empty array': [],
    'an array with a number': [CANARY, 1],
    'a hole': [CANARY, undefined],
    'a line feed': `${CANARY}\nb`,
    'more characters than Keycloak reads': CANARY.repeat(500),
  },
  audience: NOT_VALUES,
  requestedResource: NOT_VALUES,
  parameters: {
    ...NOT_RECORD,
    'a number in it': { audience: 1, other: CANARY },
    'null in it': { audience: null },
    'an array in it': { audience: [CANARY] },
    'a map': new Map([['audience', CANARY]]),
    grant_type: { grant_type: CANARY },
    scope: { scope: CANARY },
  },
  headers: { ...NOT_RECORD, 'a number in it': { 'X-A': CANARY, 'X-B': 1 } },
  ca: {
    'no PEM': CANARY,
    'a key': pem(EC),
    'an empty certificate': '-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n',
    'a second certificate that is cut off': `${CERTIFICATE}\n${CERTIFICATE.slice(0, 300)}`,
    'broken PEM': `-----BEGIN CERTIFICATE-----\n${CANARY}\n-----END CERTIFICATE-----\n`,
  },
  proxy: { ...NOT_TEXT, prose: CANARY, 'a host and a port': 'proxy.example:3128' },
  tokenFetch: { ...ODD, ...NUMBERS, ...TEXT, 'an object': { fetch }, 'the boolean false': false },
  resource: {
    ...NOT_RECORD,
    'a URL object for a base': { baseUrl: new URL(URL_OF_TOKENS) },
    'a string for fetch': { baseUrl: URL_OF_TOKENS, fetch: CANARY },
  },
  store: {
    ...NOT_FLAG,
    'a boolean': true,
    'no delete': { ...STORE, delete: undefined },
    'a string for get': { ...STORE, get: CANARY },
  },
  storeKey: { 'a short key': CANARY },
  logger: {
    ...NOT_FLAG,
    'a boolean': true,
    'no debug': { ...LOGGER, debug: undefined },
    'a string for warn': { ...LOGGER, warn: CANARY },
  },
};
const WRONG = Object.fromEntries(
  table.map((row) => {
    const values = { ...WRONG_OF_KIND[row.kind]?.(row), ...WRONG_BESIDES[row.name] };
    assert.ok(Object.keys(values).length > 0, `${row.name}: no wrong value`);
    return [row.name, values];
  }),
);

/**
 * Unknown options: options of other libraries, misspelt names, and names with a meaning elsewhere.
 */
const UNKNOWN = ['clientsecret', 'realm', 'passphrase', 'client_assertion', 'discoveryUrl', ''];

/** The other options that a wrong option needs, so that the wrong option is the only fault. */
const COMPANY = {
  issuer: { tokenEndpoint: undefined },
  clientSecretFile: { clientSecret: undefined },
  privateKey: { clientSecret: undefined },
  dpopKey: { dpop: true },
  privateKeyFile: { clientSecret: undefined },
  keyId: BY_KEY,
  signingAlgorithm: BY_KEY,
  assertionAudience: BY_KEY,
  clientCertificate: { ...BY_CERTIFICATE, clientCertificateFile: undefined },
  clientCertificateFile: BY_CERTIFICATE,
  clientKey: { ...BY_CERTIFICATE, clientKeyFile: undefined },
  clientKeyFile: BY_CERTIFICATE,
  clientAssertionFile: { clientSecret: undefined },
  clientAssertionType: BY_ASSERTION,
  store: { storeKey: STORE_KEY },
  storeKey: { store: STORE },
  storeUserTokens: { store: STORE, storeKey: STORE_KEY },
};

/** Returns the constructor's error, after checks that apply to every such error. */
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

describe('the constructor', () => {
  for (const [option, values] of Object.entries(WRONG)) {
    test(`names an invalid ${option} and does not show its value`, () => {
      for (const [name, value] of Object.entries(values)) {
        const options = { ...BASE, ...COMPANY[option], [option]: value };
        const { message } = refusal(options, `${option}: ${name}`);
        assert.match(message, new RegExp(`^invalid options: ${option}\\b[^;]*$`), name);
      }
    });
  }

  test('names an unknown option', () => {
    for (const name of UNKNOWN) {
      const { message } = refusal({ ...BASE, [name]: CANARY }, name);
      assert.equal(message, `invalid options: ${name}: no such option`);
    }
  });

  test('names a missing option', () => {
    for (const [name, label] of [
      ['tokenEndpoint', 'tokenEndpoint, issuer'],
      ['clientId', 'clientId'],
    ]) {
      const { [name]: _left, ...rest } = BASE;
      for (const absent of [rest, { ...rest, [name]: undefined }]) {
        const { message } = refusal(absent, name);
        assert.match(message, new RegExp(`^invalid options: ${label}: .*missing`), name);
      }
    }
  });

  test('requires exactly one credential', () => {
    const three = { clientAssertionFile: '/a', privateKeyFile: '/b' };
    for (const [name, more, problem] of [
      ['two secrets', { clientSecretFile: `/${CANARY}` }, 'clientSecret and clientSecretFile are'],
      ['two kinds', { privateKey: pem(EC) }, 'clientSecret and privateKey are given'],
      ['three', three, 'clientSecret and privateKeyFile and clientAssertionFile are given'],
      ['no credential', { clientSecret: undefined }, 'none is given'],
    ]) {
      const { message } = refusal({ ...BASE, ...more }, name);
      assert.match(message, /clientSecret, clientSecretFile, privateKey, .*exactly one/, name);
      assert.ok(message.includes(problem), message);
    }
  });

  test('names options that do not fit together', () => {
    const JWT = { clientAuthentication: 'client_secret_jwt' };
    const pair = { clientCertificate: CERTIFICATE, clientKey: pem(RSA) };
    const strange = { clientSecret: undefined, ...pair };
    const plain = { ...BY_CERTIFICATE, tokenEndpoint: 'http://127.0.0.1/token' };
    const RS256 = { signingAlgorithm: 'RS256' };
    const ES256 = { signingAlgorithm: 'ES256' };
    const byRsa = { ...BY_KEY, privateKey: pem(RSA), ...ES256 };
    const byJwk = { ...BY_KEY, privateKey: { ...jwkOf(EC), alg: 'RS512' } };
    for (const [name, more, problem] of [
      ['both endpoints', { issuer: 'https://sso.example/realms/r' }, 'tokenEndpoint, issuer: '],
      ['a certificate alone', { ...BY_CERTIFICATE, clientKeyFile: undefined }, 'clientKey, client'],
      ['a key alone', { ...BY_CERTIFICATE, clientCertificateFile: undefined }, 'clientCertificate'],
      ['two certificates', { ...BY_CERTIFICATE, clientCertificate: CERTIFICATE }, 'both are given'],
      ['another key', strange, 'clientKey: the key does not belong to the certificate'],
      ['a certificate over plain http', plain, 'tokenEndpoint: expected an https URL'],
      ['a kid without a key', { keyId: 'a' }, 'keyId: this option applies only to private_key_jwt'],
      ['an audience without a key', { assertionAudience: 'a' }, 'assertionAudience: this option'],
      ['an algorithm without a key', ES256, 'signingAlgorithm: this option applies'],
      ['a type without a file', { clientAssertionType: 'a' }, 'clientAssertionType: this option'],
      ['a key for a method of secrets', { ...BY_KEY, ...JWT }, "'client_secret_jwt' requires"],
      ['an algorithm of keys', { ...JWT, ...RS256 }, 'expected one of HS256, HS384, HS512'],
      ['a JWK for another algorithm', byJwk, 'privateKey: its alg member names an algorithm'],
      ['an infinite time', { requestTimeoutMs: 1 / 0 }, 'got an infinite number'],
      ['another algorithm', byRsa, 'signingAlgorithm: ES256 does not fit this key, which can only'],
    ]) {
      const { message } = refusal({ ...BASE, ...more }, name);
      assert.ok(message.includes(problem), `${name}: ${message}`);
    }
  });

  test('names an unsupported kind of key once, with the supported kinds', () => {
    const curve = (namedCurve, paramEncoding = 'named') => ['ec', { namedCurve, paramEncoding }];
    for (const [[type, options], problem] of [
      [['rsa', { modulusLength: 2304 }], 'an RSA key of this size is'],
      [['rsa', { modulusLength: 2560 }], 'an RSA key of this size is'],
      [['rsa', { modulusLength: 3584 }], 'an RSA key of this size is'],
      [
        ['rsa', { modulusLength: 2048, publicExponent: 3 }],
        'an RSA key with this public exponent is',
      ],
      [['rsa-pss', { modulusLength: 2048 }], 'an RSA key that is restricted to PSS is'],
      [curve('P-521'), 'an EC key on this curve, or in this form, is'],
      [
        curve('P-256', 'explicit'),
        "an EC key that lists the parameters of its curve instead of the curve's name is",
      ],
      [['ed448', {}], 'the key is malformed or'],
    ]) {
      const key = pem(generateKeyPairSync(type, options).privateKey);
      const signing = { clientSecret: undefined, privateKey: key, signingAlgorithm: 'PS256' };
      const { message } = refusal({ ...BASE, ...signing }, type);
      const sets =
        'a 2048-, 3072- or 4096-bit RSA key with exponent 65537, a P-256 key, a P-384 key as PKCS #8 ' +
        'or JWK, or an Ed25519 key';
      assert.equal(message, `invalid options: privateKey: ${problem} not supported: use ${sets}`);
      const pair = { clientSecret: undefined, clientCertificate: CERTIFICATE, clientKey: key };
      const byTls = refusal({ ...BASE, ...pair }, type).message;
      assert.ok(byTls.includes(`clientKey: ${problem} not supported by TLS: use`), byTls);
      assert.match(byTls, /or present the certificate in a tokenFetch function/);
    }
  });

  test('requires an object', () => {
    for (const [name, value] of Object.entries({ ...NOT_RECORD, undefined: undefined })) {
      assert.match(refusal(value, name).message, /\boptions: expected an object/, name);
    }
  });

  test('reports all faults in one message', () => {
    const alone = Object.keys(WRONG).filter((option) => COMPANY[option] === undefined);
    const faulty = Object.fromEntries(alone.map((option) => [option, null]));
    const { message } = refusal({ ...faulty, zebra: CANARY }, 'all at once');
    const faults = message.replace('invalid options: ', '').split('; ');
    const named = faults.map((fault) => fault.split(':')[0]);
    assert.deepEqual(named.sort(), [...alone, 'zebra'].sort());
  });

  test('throws an error with the cause if it cannot read an option', () => {
    const cause = Object.assign(new TypeError('boom'), { code: 'InvalidArg' });
    const throwing = (thrown) => () => {
      throw thrown;
    };
    const fail = throwing(cause);
    const failing = (name, target = {}, get = fail) =>
      Object.defineProperty(target, name, { enumerable: true, get });
    const { proxy: revoked, revoke } = Proxy.revocable({}, {});
    revoke();
    for (const [name, options, ...expected] of [
      ['an option', failing('name', { ...BASE })],
      ...[undefined, null, 0, 'text', Symbol('a')].map((thrown) => [
        'an exception of any kind',
        failing('name', { ...BASE }, throwing(thrown)),
        thrown,
      ]),
      ['an exception that this package did not throw', failing('clientSecret', { ...BASE })],
      ['a member of an option', { ...BASE, resource: failing('baseUrl') }],
      ['a method of the logger', { ...BASE, logger: failing('warn', { ...LOGGER }) }],
      ['the constructor of an option', { ...BASE, parameters: failing('constructor') }],
      ['the names of options', new Proxy({ ...BASE }, { ownKeys: fail })],
      ['whether an option is there', new Proxy({ ...BASE }, { getOwnPropertyDescriptor: fail })],
    ]) {
      const error = refusal(options, name);
      assert.match(error.message, /the manager cannot read (an|this) option; see cause/, name);
      if (!name.includes('options') && !name.includes('there'))
        assert.match(error.message, /: (name|clientSecret|resource|logger|parameters): /, name);
      assert.equal(error.cause, expected.length > 0 ? expected[0] : cause, name);
    }
    assert.ok(refusal(revoked, 'a proxy that is revoked').cause instanceof TypeError);
  });

  test('reports an exception of the native side as a bug, not as the exception of a getter', () => {
    const thrown = new Error('boom');
    const options = {
      ...BASE,
      get name() {
        throw thrown;
      },
    };
    const environment = { verifiesCertificates: true };
    const notify = () => {};
    const { code, message, cause, ...rest } = native.open(options, environment, notify);
    assert.equal(code, 'ERR_KEYCLOAK_CONFIG');
    assert.equal(message, 'invalid options: name: the manager cannot read this option; see cause');
    assert.equal(cause, thrown);
    assert.deepEqual(rest, { retryable: false });

    const core = native.open(BASE, environment, notify);
    assert.equal(core.reconfigure(options, environment).cause, thrown);
    core.close();
    assert.throws(() => native.open(BASE, {}, notify), { code: 'InvalidArg' });
  });

  test('escapes the name of an unknown option in the message', () => {
    const { message } = refusal({ ...BASE, 'a\nb\u001b[31m': 1 }, 'an option');
    assert.match(message, /a\\nb\\u\{1b\}\[31m: no such option/);
    const parameters = { 'a\nb': 1 };
    assert.match(refusal({ ...BASE, parameters }, 'a parameter').message, /parameters\.a\\nb/);
  });
});

describe('options that are accepted', () => {
  // Other tests cover the other options.
  test('options may have every documented form', async () => {
    for (const more of [
      { tokenEndpoint: 'HTTP://127.0.0.1:8080/token?a=b' },
      { tokenEndpoint: undefined, issuer: 'http://127.0.0.1:8080/realms/r/' },
      { clientAuthentication: 'client_secret_jwt', signingAlgorithm: 'HS512', keyId: 'a' },
      { ...BY_KEY, keyId: 'a', assertionAudience: 'https://sso.example/realms/r' },
      { ...BY_KEY, privateKey: pem(ED), clientAuthentication: 'private_key_jwt' },
      { ...BY_KEY, privateKey: { ...jwkOf(EC), key_ops: ['sign'], ext: true } },
      { ...BY_KEY, privateKey: JSON.stringify(jwkOf(ED)) },
      { clientSecret: undefined, clientSecretFile: '/nowhere/secret' },
      { clientSecret: undefined, privateKeyFile: '/nowhere/key.pem' },
      BY_CERTIFICATE,
      { ...BY_ASSERTION, clientAssertionType: 'urn:example' },
      { proxy: 'http://jane:secret@proxy.example:3128' },
      { parameters: { audience: '', resource: 'x' } },
      { requestTimeoutMs: 1 },
      { ca: tls.rootCertificates.slice(0, 2).join('\n'), caFile: '/nowhere/ca.pem' },
      { resource: { baseUrl: 'HTTP://[::1]:80/a/b/', userHeader: undefined, fetch: undefined } },
      { resource: { baseUrl: 'https://a', userHeader: 'X-User', fetch: () => undefined } },
    ]) {
      await accepted({ ...BASE, ...more });
    }
  });

  test('undefined counts as absent', () => {
    const absent = [...Object.keys(WRONG), ...UNKNOWN].filter((option) => !(option in BASE));
    return accepted({ ...BASE, ...Object.fromEntries(absent.map((name) => [name, undefined])) });
  });

  test('an object may be frozen or an instance of a class', async () => {
    await accepted(Object.freeze({ ...BASE }));
    await accepted(Object.assign(new (class Options {})(), BASE));
  });

  test('the name of a manager is the client id by default', async () => {
    for (const name of [undefined, 'a name']) {
      const manager = new KeycloakTokenManager({ ...BASE, name });
      assert.equal(manager.snapshot().name, name ?? BASE.clientId);
      await manager.close();
    }
  });
});
