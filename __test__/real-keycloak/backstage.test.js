/**
 * End to end: HTTP into a real Backstage backend, through the example's plugin and the manager, to
 * a real Keycloak and an API that verifies Keycloak's tokens.
 */
'use strict';

const assert = require('node:assert/strict');
const { after, before, test } = require('node:test');

const { setStage } = require('../../examples/backstage-plugin/stage.js');
const { optionsFor } = require('./support/differences');
const { claimsOf, describeWithKeycloak } = require('./support/keycloak');

/** Long enough for the download on a slow machine. */
const START_TIMEOUT_MS = 15 * 60 * 1000;

describeWithKeycloak('the example on a real Keycloak', {}, (keycloak) => {
  let stage;
  before(
    async () => {
      const { tokenEndpoint, realmUrl } = keycloak;
      const realm = { tokenEndpoint, jwksUrl: `${realmUrl}/protocol/openid-connect/certs` };
      stage = await setStage({ realm, log: (line) => console.error(line) });
    },
    { timeout: START_TIMEOUT_MS },
  );
  after(() => stage?.end());

  const call = (headers, init) => fetch(stage.url, { headers, ...init });
  const asUser = () => ({ authorization: `Bearer ${stage.userToken}` });

  test('lists the agents and creates one, and the API sees the user', async () => {
    const response = await call(asUser());
    assert.equal(response.status, 200);
    assert.equal((await response.json()).items[0].name, 'weather');
    const { azp, user } = stage.api.requests.at(-1);
    assert.deepEqual({ azp, user }, { azp: 'kagenti-api', user: 'user:default/jane' });

    // The API requires a role in the token for this call.
    const body = JSON.stringify({ name: 'travel' });
    const headers = { ...asUser(), 'content-type': 'application/json' };
    const created = await call(headers, { method: 'POST', body });
    assert.equal(created.status, 200);
    const names = (await created.json()).items.map(({ name }) => name);
    assert.deepEqual(names, ['weather', 'travel']);
  });

  test('sends no request for a caller without user credentials', async () => {
    const count = stage.api.requests.length;
    const [header, payload] = stage.userToken.split('.');
    for (const headers of [
      {},
      { authorization: 'Bearer nonsense' },
      { authorization: `Bearer ${header}.${payload}.AAAA` },
      { 'x-backstage-user': 'user:default/eve' },
    ]) {
      assert.equal((await call(headers)).status, 401, JSON.stringify(headers));
    }
    assert.equal(stage.api.requests.length, count);
  });

  test(
    'calls the second API as the user until the user signs out',
    optionsFor('a server without token exchange'),
    async () => {
      const inSession = { ...asUser(), 'x-keycloak-token': stage.keycloakToken };
      const call = async (headers, url = stage.runsUrl, method = 'GET') =>
        (await fetch(url, { headers, method })).status;
      assert.equal(await call(inSession), 200);
      const user = claimsOf(stage.keycloakToken).sub;
      const [{ sub, azp, aud }] = stage.runsApi.requests;
      assert.deepEqual({ sub, azp, aud }, { sub: user, azp: 'kagenti-api', aud: 'runs-api' });
      assert.notEqual(stage.api.requests.at(-1).sub, user, 'the other API saw the service');

      assert.equal(await call(asUser()), 401, 'without a Keycloak token');
      assert.equal(await call({ 'x-keycloak-token': stage.keycloakToken }), 401);

      await stage.endSession();
      assert.equal(await call(inSession), 200, 'the manager still has the token of the user');
      assert.equal(await call(inSession, stage.signOutUrl, 'POST'), 204);
      assert.equal(await call(inSession), 401, 'the manager has dropped the token');
      assert.equal(stage.runsApi.requests.length, 2);
    },
  );

  test("shows no secret and no token in the backend's log", () => {
    assert.match(stage.output(), /Plugin initialization complete/);
    assert.doesNotMatch(stage.output(), /s3cr\+t|eyJhbGciOi/);
  });
});
