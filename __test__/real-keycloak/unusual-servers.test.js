/**
 * A real Keycloak in production mode. It answers before it is ready, sheds load, and serves the
 * realms under a path prefix, which was the default before release 17.
 */
'use strict';

const assert = require('node:assert/strict');
const { before, describe, test } = require('node:test');

const { KeycloakTokenError } = require('../..');
const { VERSION } = require('../../tools/keycloak');
const { releaseOf } = require('../../tools/keycloak/releases');
const { startApi } = require('../support/api-server.js');
const { times } = require('../support/manager');
const { optionsFor } = require('./support/differences');
const { claimsOf, describeWithKeycloak, manage } = require('./support/keycloak');
const {
  RECOVERED_WITHIN_MS,
  TOLERANCE_MS,
  assertFailures,
  assertRecovery,
  retryAfterOf,
  startLoad,
  watch,
} = require('./support/outages');
const { CLIENT, http, testRefusals } = require('./support/refusals');

const CALLS_PER_SECOND = 20;
/**
 * The longest `Retry-After` that the manager honours. Keycloak sends the time since it began to
 * start, up to a minute, so that clients send fewer requests during a long start.
 */
const HONOURED_MS = 30_000;
/** The delay to allow for on a busy machine. */
const LATE_MS = 1_500;
/** More requests than the server queues, and no more than the package sends at the same time. */
const MANAGERS = 40;

const WRONG_URLS = {
  'the root above the path of the server': [
    ({ url }) => `${new URL(url).origin}/`,
    { code: 'ERR_KEYCLOAK_PROTOCOL', status: 302, advice: /is a redirect/ },
  ],
  'a URL without the path of the server': [
    ({ url, tokenEndpoint }) => tokenEndpoint.replace(url, new URL(url).origin),
    http(404, undefined, /not a token endpoint; a Keycloak token endpoint is {base}/),
  ],
};

const { hasAsyncBootstrap } = releaseOf(VERSION);
const REASON = `Keycloak ${VERSION}: it accepts no request before it can serve it`;
const OPTIONS = [
  '--http-relative-path=/auth',
  '--http-pool-max-threads=1',
  '--http-max-queued-requests=1',
  ...(hasAsyncBootstrap ? ['--server-async-bootstrap=true'] : []),
];

const suite = {
  own: { mode: 'start', options: OPTIONS, awaitReady: false },
  ...optionsFor('a server that sheds load'),
};

describeWithKeycloak('a real Keycloak with unusual options', suite, (keycloak) => {
  test('that is still starting gets no request before its Retry-After is over', {
    skip: hasAsyncBootstrap ? false : REASON,
  }, async (t) => {
    const { tokenEndpoint } = keycloak;
    const requests = [];
    const gateway = await startApi(t, async ({ headers }, response, body) => {
      const request = { at: Date.now(), retryAfter: 0 };
      requests.push(request);
      const type = { 'content-type': headers['content-type'] };
      const answer = await fetch(tokenEndpoint, { method: 'POST', headers: type, body });
      Object.assign(request, { status: answer.status, retryAfter: retryAfterOf(answer) });
      response.writeHead(answer.status, { 'retry-after': request.retryAfter });
      response.end(await answer.text());
    });
    const manager = manage(t, { ...CLIENT, tokenEndpoint: `${gateway.url}/token` });
    const observer = watch(t, { ...CLIENT, tokenEndpoint });
    const starting = await observer.first(503);
    const load = startLoad(t, manager, CALLS_PER_SECOND);
    const up = await observer.first(200);
    const longestMs = 1000 * Math.max(...observer.looks.map(({ retryAfter = 0 }) => retryAfter));
    const waitMs = Math.min(longestMs, HONOURED_MS) + LATE_MS;
    const recoveryMs = await assertRecovery(up, load, Math.max(RECOVERED_WITHIN_MS, waitMs));

    assertFailures(load, 'ERR_KEYCLOAK_HTTP');
    for (const { error } of load.failed()) {
      assert.equal(error.status, 503);
      assert.ok(error.retryAfterMs >= 0, error.message);
      assert.match(error.message, /status 503/);
    }
    assert.ok(
      requests.some(({ status }) => status === 503),
      'the manager sent a request during the start',
    );
    for (const [index, { at }] of requests.slice(1).entries()) {
      const said = Math.min(requests[index].retryAfter * 1000, HONOURED_MS);
      const wait = at - requests[index].at;
      assert.ok(wait >= said - TOLERANCE_MS, `${wait} ms after a Retry-After of ${said} ms`);
    }
    // Each `Retry-After` is at least one second; the first and the last request are additional.
    const seconds = (up.ended - starting.ended + Math.max(recoveryMs, 0)) / 1000;
    assert.ok(requests.length <= 2 + seconds, `${requests.length} requests`);
  });

  describe('that is ready', () => {
    before(() => keycloak.process.ready());

    testRefusals(keycloak, WRONG_URLS);

    test('sheds some concurrent requests, which the managers send again', async (t) => {
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
});
