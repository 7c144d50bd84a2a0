/**
 * Makes tests from rows, keyed by the cause of a refusal. A row has the difference from a good
 * request, and the expected error. A difference is an object of options, a function that returns
 * the endpoint, or `{ realm }` with the representation of a realm that the test makes.
 */
'use strict';

const assert = require('node:assert/strict');
const { test } = require('node:test');
const { inspect } = require('node:util');

const { rejection } = require('../../support/manager');
const { differenceOf, optionsFor } = require('./differences');
const { createRealm, manage, secretOf } = require('./keycloak');

const CLIENT = { clientId: 'kagenti-api', clientSecret: secretOf('kagenti-api') };
/** The attempts of an acquisition that fails with a retryable error. */
const ATTEMPTS = 3;

/** The token endpoint of another realm. */
const otherRealm = (name) => (keycloak) => keycloak.tokenEndpoint.replace('/kagenti/', `/${name}/`);
/** An OAuth error. */
const oauth = (status, oauthError, description, advice) => {
  const code = 'ERR_KEYCLOAK_OAUTH';
  return { code, status, oauthError, description, advice };
};
/** Another HTTP error. */
const http = (status, oauthError, advice) => {
  return { code: 'ERR_KEYCLOAK_HTTP', status, oauthError, advice };
};

function testRefusals(keycloak, rows, common = {}) {
  for (const [what, [given, error]] of Object.entries(rows)) {
    const expected = { ...error, ...common, ...differenceOf(what).expected };
    test(`${what} gives ${expected.code} with advice`, optionsFor(what), async (t) => {
      const options = { ...CLIENT, tokenEndpoint: keycloak.tokenEndpoint };
      if (typeof given === 'function') options.tokenEndpoint = given(keycloak);
      else if (given.realm === undefined) Object.assign(options, given);
      else options.tokenEndpoint = await endpointOf(t, keycloak, given.realm);
      const found = await rejection(manage(t, options).getToken(), expected.code);
      assertExpected(found, expected, options);
    });
  }
}

/** Makes a realm with these members and the client, and returns its token endpoint. */
async function endpointOf(t, keycloak, realm) {
  const { clientId, clientSecret: secret } = CLIENT;
  const client = { clientId, secret, serviceAccountsEnabled: true };
  return (await createRealm(t, keycloak, { clients: [client], ...realm })).tokenEndpoint;
}

function assertExpected(error, expected, options) {
  const { status, oauthError, description, retryable = false, advice } = expected;
  assert.equal(error.status, status);
  if (oauthError instanceof RegExp) assert.match(error.oauthError, oauthError);
  else assert.equal(error.oauthError, oauthError);
  assert.equal(error.oauthErrorDescription, description);
  assert.equal(error.retryable, retryable);
  // While the manager holds no token, it makes further attempts after the first three.
  if (retryable) assert.ok(error.attempts >= ATTEMPTS, `${error.attempts} attempts`);
  else assert.equal(error.attempts, 1);
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

module.exports = { CLIENT, http, oauth, otherRealm, testRefusals };
