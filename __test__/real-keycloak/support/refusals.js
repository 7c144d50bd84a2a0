/**
 * Tests made of rows, each of which is a way not to get a token.
 *
 * A row has `what` is wrong, the `options` and the `endpoint(keycloak)` that differ from good ones,
 * or members of a `realm` made for it; and what is expected: `code`, `status`, `oauthError`,
 * `description`, `retryable`, and the `advice` in the message.
 */
'use strict';

const assert = require('node:assert/strict');
const { test } = require('node:test');
const { inspect } = require('node:util');

const { KeycloakTokenError, KeycloakTokenManager } = require('../../..');
const { differenceOf, optionsFor } = require('./differences');
const { createRealm, secretOf } = require('./keycloak');

const CLIENT = { clientId: 'kagenti-api', clientSecret: secretOf('kagenti-api') };
/** Of an acquisition that fails with a retryable error. */
const ATTEMPTS = 3;

/** The token endpoint of another realm. */
const otherRealm = (name) => (keycloak) => keycloak.tokenEndpoint.replace('/kagenti/', `/${name}/`);

function testRefusals(keycloak, rows, common) {
  for (const row of rows) {
    const { what, realm, endpoint } = row;
    const expected = { ...common, ...row, ...differenceOf(what).expected };
    test(`${what} gives ${expected.code} and says what to do`, optionsFor(what), async (t) => {
      const given = { ...CLIENT, ...row.options };
      const { tokenEndpoint } = realm ? await realmFor(t, keycloak, given, realm) : keycloak;
      const options = { ...given, tokenEndpoint: endpoint?.(keycloak) ?? tokenEndpoint };
      assertTells(await failureOf(t, options), expected, options);
    });
  }
}

function realmFor(t, keycloak, { clientId, clientSecret }, realm) {
  const client = { clientId, secret: clientSecret, serviceAccountsEnabled: true };
  return createRealm(t, keycloak, { clients: [client], ...realm });
}

async function failureOf(t, options) {
  const manager = new KeycloakTokenManager(options);
  t.after(() => manager.close());
  const error = await manager.getToken().then(
    () => assert.fail('a token was given'),
    (reason) => reason,
  );
  assert.ok(error instanceof KeycloakTokenError, inspect(error));
  return error;
}

function assertTells(error, expected, options) {
  const { code, status, oauthError, description, retryable, advice } = expected;
  assert.equal(error.code, code, error.message);
  assert.equal(error.status, status);
  if (oauthError instanceof RegExp) assert.match(error.oauthError, oauthError);
  else assert.equal(error.oauthError, oauthError);
  assert.equal(error.oauthErrorDescription, description);
  assert.equal(error.retryable, retryable);
  assert.equal(error.attempts, retryable ? ATTEMPTS : 1);
  assert.equal(error.clientId, options.clientId);
  assert.equal(error.tokenEndpoint, options.tokenEndpoint);
  if (status !== undefined) {
    const words = ['status', status, error.oauthError].filter(Boolean).join(' ');
    assert.ok(error.message.includes(words), error.message);
  }
  assert.match(error.message, advice);
  for (const text of [inspect(error), String(error), error.stack, JSON.stringify(error)]) {
    assert.ok(!text.includes(options.clientSecret), 'the secret is not shown');
  }
}

module.exports = { CLIENT, otherRealm, testRefusals };
