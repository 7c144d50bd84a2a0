/**
 * A real Keycloak below a path prefix, as before release 17, that sheds load.
 */
'use strict';

const assert = require('node:assert/strict');
const { test } = require('node:test');

const { KeycloakTokenError } = require('../..');
const { times } = require('../support/manager');
const { optionsFor } = require('./support/differences');
const { claimsOf, describeWithKeycloak, manage } = require('./support/keycloak');
const { CLIENT, http, testRefusals } = require('./support/refusals');

/** More than the server queues, and no more than the package sends at once. */
const MANAGERS = 40;

const ROWS = [
  [
    'the root above the path of the server',
    ({ url }) => `${new URL(url).origin}/`,
    { code: 'ERR_KEYCLOAK_PROTOCOL', status: 302, advice: /is a redirect/ },
  ],
  [
    'a URL without the path of the server',
    ({ url, tokenEndpoint }) => tokenEndpoint.replace(url, new URL(url).origin),
    http(404, undefined, /not a token endpoint; Keycloak's is {base}/),
  ],
];

const OPTIONS = [
  '--http-relative-path=/auth',
  '--http-pool-max-threads=1',
  '--http-max-queued-requests=1',
];

const suite = { own: { options: OPTIONS }, ...optionsFor('a server that sheds load') };

describeWithKeycloak('a real Keycloak with unusual options', suite, (keycloak) => {
  testRefusals(keycloak, ROWS);

  test('requests that the server sheds are sent again', async (t) => {
    const { tokenEndpoint } = keycloak;
    const managers = times(MANAGERS, () => manage(t, { ...CLIENT, tokenEndpoint }));
    const outcomes = await Promise.allSettled(managers.map((manager) => manager.getToken()));
    const retries = managers.reduce((sum, each) => sum + each.snapshot().counters.retries, 0);
    assert.ok(retries > 0, 'some requests were refused');
    const tokens = outcomes.filter(({ status }) => status === 'fulfilled');
    assert.ok(tokens.length > 0, 'some got through');
    for (const { value } of tokens) assert.equal(claimsOf(value).azp, CLIENT.clientId);
    for (const { reason } of outcomes.filter(({ status }) => status === 'rejected')) {
      assert.ok(reason instanceof KeycloakTokenError);
      const { code, status, oauthError, retryable } = reason;
      assert.deepEqual(
        [code, status, oauthError, retryable],
        ['ERR_KEYCLOAK_HTTP', 503, undefined, true],
      );
    }
  });
});
