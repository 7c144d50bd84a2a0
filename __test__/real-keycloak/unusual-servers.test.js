/**
 * A real Keycloak below a path of its own, as before release 17, which sheds load that it cannot
 * take.
 */
'use strict';

const assert = require('node:assert/strict');
const { test } = require('node:test');

const { KeycloakTokenError, KeycloakTokenManager } = require('../..');
const { optionsFor } = require('./support/differences');
const { claimsOf, describeWithKeycloak } = require('./support/keycloak');
const { CLIENT, testRefusals } = require('./support/refusals');

/** More than the server queues, and no more than the package sends at once. */
const MANAGERS = 40;

const withoutPath = ({ url, tokenEndpoint }) => tokenEndpoint.replace(url, new URL(url).origin);

const ROWS = [
  {
    what: 'the root above the path of the server',
    endpoint: ({ url }) => `${new URL(url).origin}/`,
    code: 'ERR_KEYCLOAK_PROTOCOL',
    status: 302,
    advice: /is a redirect/,
  },
  {
    what: 'a URL without the path of the server',
    endpoint: withoutPath,
    code: 'ERR_KEYCLOAK_HTTP',
    status: 404,
    advice: /not a token endpoint; Keycloak's is {base}/,
  },
];

const OPTIONS = [
  '--http-relative-path=/auth',
  '--http-pool-max-threads=1',
  '--http-max-queued-requests=1',
];

const suite = { options: OPTIONS, ...optionsFor('a server that sheds load') };

describeWithKeycloak('a real Keycloak set up otherwise', suite, (keycloak) => {
  testRefusals(keycloak, ROWS, { retryable: false });

  test('load that is shed is asked for again', async (t) => {
    const { tokenEndpoint } = keycloak;
    const managers = Array.from({ length: MANAGERS }, () => {
      const manager = new KeycloakTokenManager({ ...CLIENT, tokenEndpoint });
      t.after(() => manager.close());
      return manager;
    });
    const outcomes = await Promise.allSettled(managers.map((manager) => manager.getToken()));
    const sum = (name) => managers.reduce((all, each) => all + each.snapshot().counters[name], 0);
    assert.ok(sum('retries') > 0, 'some requests were refused');
    const tokens = outcomes.filter(({ status }) => status === 'fulfilled');
    assert.ok(tokens.length > 0, 'some got through');
    for (const { value } of tokens) assert.equal(claimsOf(value).azp, CLIENT.clientId);
    for (const { reason } of outcomes.filter(({ status }) => status === 'rejected')) {
      assert.ok(reason instanceof KeycloakTokenError);
      const { code, status, oauthError, retryable } = reason;
      assert.deepEqual(
        { code, status, oauthError, retryable },
        { code: 'ERR_KEYCLOAK_HTTP', status: 503, oauthError: undefined, retryable: true },
      );
    }
  });
});
