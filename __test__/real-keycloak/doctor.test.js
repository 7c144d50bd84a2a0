/**
 * The doctor against a real Keycloak: a set-up without a problem, and the refusals whose cause only
 * Keycloak's own answer shows.
 */
'use strict';

const assert = require('node:assert/strict');
const { test } = require('node:test');

const { runDoctor, troubles } = require('../cli/support');
const { createRealm, describeWithKeycloak, secretOf } = require('./support/keycloak');

const CLIENT = 'kagenti-api';

/** The set-up as a difference from a good one, the step, and its text. */
const ROWS = {
  'a wrong secret': [{ secret: 'wrong-secret' }, 'token request', /401 unauthorized_client/],
  'an unknown client': [{ client: 'nobody' }, 'token request', /client "nobody" is unknown/],
  'a service account that is off': [{ client: 'no-sa' }, 'token request', /"no-sa" is off/],
  'an unknown scope': [{ flags: { scope: 'absent' } }, 'token request', /invalid_scope/],
  'an absent realm': [{ realm: 'absent' }, 'discovery', /realm does not exist \(status 404\)/],
};

describeWithKeycloak('the doctor on a real Keycloak', {}, (keycloak) => {
  const run = ({ client = CLIENT, secret, realm, flags = {} } = {}) => {
    const endpoint = keycloak.tokenEndpoint;
    const url =
      realm === undefined ? endpoint : endpoint.replace(/realms\/[^/]+/, `realms/${realm}`);
    const env = {
      KEYCLOAK_CLIENT_SECRET: secret ?? secretOf(client === 'nobody' ? CLIENT : client),
    };
    return runDoctor({ 'token-endpoint': url, 'client-id': client, ...flags }, { env });
  };

  test('finds no problem with a good set-up', async () => {
    const { status, findings } = await run();
    assert.equal(status, 0, JSON.stringify(findings));
    assert.deepEqual(troubles({ findings }), []);
    const { details } = findings.find(({ step }) => step === 'token');
    assert.deepEqual([details.iss, details.azp], [keycloak.realmUrl, CLIENT]);
  });

  // Keycloak still serves the discovery document of a disabled realm.
  test('finds a disabled realm', async (t) => {
    const { name } = await createRealm(t, keycloak, { enabled: false });
    const [first] = troubles(await run({ realm: name }));
    assert.deepEqual([first.step, first.state], ['token request', 'failed'], JSON.stringify(first));
    assert.match(first.text, /realm is disabled/);
  });

  for (const [what, [difference, step, text]] of Object.entries(ROWS)) {
    test(`finds ${what}`, async () => {
      const result = await run(difference);
      const [first] = troubles(result);
      assert.equal(first?.step, step, JSON.stringify(result.findings));
      assert.match(first.text, text);
      assert.equal(result.status, 1);
    });
  }
});
