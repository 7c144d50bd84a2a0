/**
 * End to end: HTTP into a real Backstage backend, through the example's plugin and the manager, to
 * a real Keycloak and an API that verifies what Keycloak signed.
 */
'use strict';

const assert = require('node:assert/strict');
const { after, before, describe, test } = require('node:test');

const { setStage } = require('../../examples/backstage-plugin/stage.js');
const { missingPrerequisites } = require('../../tools/keycloak');

/** Covers the downloads and first starts on a slow machine. */
const START_TIMEOUT_MS = 15 * 60 * 1000;

const missing = process.env.CI ? undefined : missingPrerequisites();
const skip = missing === undefined ? false : `no Keycloak can be started: ${missing}`;

describe('the example on a real Keycloak', { skip }, () => {
  let stage;
  before(
    async () => {
      stage = await setStage({ embedded: false, log: (line) => console.error(line) });
    },
    { timeout: START_TIMEOUT_MS },
  );
  after(() => stage?.end());

  const call = (init = {}) => fetch(stage.url, init);
  const asUser = () => ({ authorization: `Bearer ${stage.userToken}` });

  test('lists the agents, and the API sees the user', async () => {
    const response = await call({ headers: asUser() });
    assert.equal(response.status, 200);
    const { items } = await response.json();
    assert.equal(items[0].name, 'weather');
    const { client, user } = stage.api.requests.at(-1);
    assert.deepEqual({ client, user }, { client: 'kagenti-api', user: 'user:default/jane' });
  });

  test('sends nothing for a caller without credentials of a user', async () => {
    const before = stage.api.requests.length;
    const [header, payload] = stage.userToken.split('.');
    for (const authorization of [
      undefined,
      'Bearer nonsense',
      `Bearer ${header}.${payload}.AAAA`,
    ]) {
      const response = await call(authorization && { headers: { authorization } });
      assert.equal(response.status, 401, authorization);
    }
    const response = await call({ headers: { 'x-backstage-user': 'user:default/eve' } });
    assert.equal(response.status, 401);
    assert.equal(stage.api.requests.length, before);
  });

  test('creates an agent, for which the API wants a role of the token', async () => {
    const response = await call({
      method: 'POST',
      headers: { ...asUser(), 'content-type': 'application/json' },
      body: JSON.stringify({ name: 'travel' }),
    });
    assert.equal(response.status, 200);
    const names = (await response.json()).items.map(({ name }) => name);
    assert.deepEqual(names, ['weather', 'travel']);
  });

  test('shows no secret and no token in the log of the backend', () => {
    assert.match(stage.output(), /Plugin initialization complete/);
    assert.doesNotMatch(stage.output(), /s3cr\+t|eyJhbGciOi/);
  });
});
