'use strict';

/** The options that `readKeycloakTokenManagerOptions` reads from a configuration section. */

const assert = require('node:assert/strict');
const { describe, test } = require('node:test');
const { inspect } = require('node:util');
const schema = require('../../config.schema.json');
const { KEY, nest, useWorkspace } = require('./support.js');

const CANARY = 'canary-of-a-secret';
const WHOLE = {
  tokenEndpoint: 'https://sso.example.org/realms/kagenti/protocol/openid-connect/token',
  clientId: 'kagenti-api',
  clientSecret: CANARY,
};

const API = { baseUrl: 'https://api.example.org', fetch: CANARY };
const TWO = { clientId: 1, clientSecret: CANARY, requestTimeoutMs: 'x' };
/** Configuration sections that the reader refuses, and the errors. */
const REFUSED = [
  [
    'a section with only a client id',
    { clientId: 'x' },
    /has clientId, but tokenEndpoint \(or issuer\) and clientSe/,
  ],
  [
    'a section with only a secret',
    { clientSecret: CANARY },
    /the section has clientSecret, .* and clientId are missing/,
  ],
  ['no secret', { ...WHOLE, clientSecret: undefined }, /but clientSecret \(or clientSecretFile\)/],
  ['a section that is a list', [CANARY], /got array, wanted object/],
  ['a secret that is a number', { ...WHOLE, clientSecret: 7351 }, /auth\.clientSecret.*got number/],
  [
    'an empty secret',
    { ...WHOLE, clientSecret: '' },
    /but clientSecret \(or clientSecretFile\) is missing/,
  ],
  [
    'a section with only a flag',
    { skipTlsVerify: true },
    /the section has skipTlsVerify, but tokenEndpoint/,
  ],
  [
    'a word in place of a number',
    { ...WHOLE, requestTimeoutMs: CANARY },
    /requestTimeoutMs.*a number/,
  ],
  ['a word in place of a flag', { ...WHOLE, skipTlsVerify: CANARY }, /skipTlsVerify.*a boolean/],
  ['a list of numbers', { ...WHOLE, scope: [1] }, /auth\.scope\[0\].*got number/],
  ['a parameter that is a number', { ...WHOLE, parameters: { max_age: 1 } }, /"max_age" must be a/],
  ['a proxy that is true', { ...WHOLE, proxy: true }, /auth\.proxy.*got boolean, wanted string/],
  [
    'a misspelt option',
    { ...WHOLE, clientsecret: CANARY },
    /unknown key "clientsecret"; the known/,
  ],
  ['a key with a space', { ...WHOLE, 'client secret': CANARY }, /unknown key "client secret"; the/],
  ['a key with a dot', { ...WHOLE, 'resource.baseUrl': CANARY }, /unknown key "resource\.baseUrl"/],
  [
    'a key with a space in the resource',
    { ...WHOLE, resource: { baseUrl: 'https://api.example.org', 'a b': CANARY } },
    /unknown key "a b"; the known keys are baseUrl/,
  ],
  ['a resource without a URL', { ...WHOLE, resource: {} }, /resource: baseUrl is missing/],
  [
    'an unknown key in the resource',
    { ...WHOLE, resource: API },
    /"fetch"; the known keys are baseU/,
  ],
  [
    'a section with two faults',
    TWO,
    /auth\.clientId.*auth\.requestTimeoutMs.*but tokenEndpoint .* missing/,
  ],
];

describe('readKeycloakTokenManagerOptions', () => {
  const workspace = useWorkspace();

  function read(data, key, options) {
    const { ConfigReader } = workspace.require('@backstage/config');
    const backstage = workspace.require('keycloak-token-manager/backstage');
    return backstage.readKeycloakTokenManagerOptions(new ConfigReader(data), key, options);
  }

  const empty = { tokenEndpoint: '', clientId: '', clientSecret: '', scope: [''] };
  for (const [what, data] of [
    ['no configuration', {}],
    ['no section', { boost: { kagenti: {} } }],
    ['a section that is null', nest(KEY, null)],
    ['an empty section', nest(KEY, {})],
    ['a section of empty strings', nest(KEY, { ...empty, resource: { baseUrl: '' } })],
  ]) {
    test(`returns undefined for ${what}`, () => assert.equal(read(data), undefined));
  }

  test('treats empty strings as absent', () => {
    const section = {
      ...WHOLE,
      clientSecretFile: '',
      'client secret': '',
      requestTimeoutMs: '',
      skipTlsVerify: '',
      proxy: '',
      scope: ['', 'agents'],
      parameters: { audience: '' },
      headers: { 'x-gateway': 'a', 'x-other': '' },
      resource: { baseUrl: 'https://api.example.org', userHeader: '' },
    };
    assert.deepEqual(read(nest(KEY, section)), {
      ...WHOLE,
      scope: ['agents'],
      headers: { 'x-gateway': 'a' },
      resource: { baseUrl: 'https://api.example.org' },
    });
  });

  test('ignores the keys in knownKeys', () => {
    const tokenExchange = { enabled: false, audience: 'x' };
    const options = { knownKeys: ['tokenExchange'] };
    assert.deepEqual(read(nest(KEY, { ...WHOLE, tokenExchange }), KEY, options), WHOLE);
    assert.equal(read(nest(KEY, { clientId: '', tokenExchange }), KEY, options), undefined);
    assert.throws(
      () => read(nest(KEY, { ...WHOLE, tokenExchange })),
      /unknown key "tokenExchange"/,
    );
  });

  test('reads every option that a file can contain', () => {
    const { properties } = KEY.split('.').reduce((at, part) => at.properties[part], schema);
    const sample = {
      string: () => 'text',
      integer: () => 30,
      boolean: () => false,
      object: ({ properties: members = {} }) =>
        Object.fromEntries(Object.keys(members).map((name) => [name, 'text'])),
    };
    const entries = Object.entries(properties).map(([name, of]) => [
      name,
      sample[(of.anyOf?.[0] ?? of).type](of),
    ]);
    const section = { ...Object.fromEntries(entries), parameters: { 'urn:example:a b': 'c' } };
    // This key is for Backstage; `shared-cache.test.js` tests it.
    const { sharedCache, ...options } = section;
    assert.equal(sharedCache, false);
    assert.deepEqual(read(nest(KEY, section)), options);
  });

  test('reads false and "false" as no proxy', () => {
    for (const proxy of [false, 'false']) {
      assert.equal(read(nest(KEY, { ...WHOLE, proxy })).proxy, false);
    }
  });

  test('reads another section, and a list of scopes', () => {
    const scope = ['openid', 'agents'];
    const section = { ...WHOLE, scope };
    assert.deepEqual(read(nest('acme.auth', section), 'acme.auth'), section);
    assert.equal(read(nest('acme.auth', section)), undefined);
  });

  test('reads numbers and flags from the environment', async () => {
    const { ConfigSources, StaticConfigSource, EnvConfigSource } = workspace.require(
      '@backstage/config-loader',
    );
    const { readKeycloakTokenManagerOptions } = workspace.require(
      'keycloak-token-manager/backstage',
    );
    const prefix = 'APP_CONFIG_boost_kagenti_auth_';
    const env = {
      [`${prefix}requestTimeoutMs`]: '"2500"',
      [`${prefix}skipTlsVerify`]: '"true"',
      [`${prefix}backgroundRefresh`]: '"no"',
    };
    const config = await ConfigSources.toConfig(
      ConfigSources.merge([
        StaticConfigSource.create({ data: nest(KEY, WHOLE) }),
        EnvConfigSource.create({ env }),
      ]),
    );
    try {
      const options = readKeycloakTokenManagerOptions(config);
      const { requestTimeoutMs, skipTlsVerify, backgroundRefresh } = options;
      assert.deepEqual([requestTimeoutMs, skipTlsVerify, backgroundRefresh], [2500, true, false]);
    } finally {
      config.close();
    }
  });

  for (const [what, section, pattern] of REFUSED) {
    test(`refuses ${what}`, () => {
      const { KeycloakTokenError } = workspace.require('keycloak-token-manager');
      assert.throws(
        () => read(nest(KEY, section)),
        (error) => {
          assert.ok(error instanceof KeycloakTokenError, `${error?.stack}`);
          assert.equal(error.code, 'ERR_KEYCLOAK_CONFIG');
          assert.ok(error.message.startsWith(`configuration "${KEY}": `), error.message);
          assert.match(error.message, pattern);
          assert.doesNotMatch(inspect(error, { showHidden: true }), new RegExp(`${CANARY}|7351`));
          return true;
        },
      );
    });
  }
});
