'use strict';

/** The option `tokenFetch` of a service. A configuration file cannot express a function. */

const assert = require('node:assert/strict');
const { describe, test } = require('node:test');
const { keeper, KEY, startBackend, useWorkspace } = require('./support.js');

describe('a service with tokenFetch', () => {
  const workspace = useWorkspace();

  /** Makes a service ref with the option, and plugins of these names that use it. */
  function keepers(tokenFetch, ...names) {
    const { createKeycloakTokenManagerServiceRef: create } = workspace.require(
      'keycloak-token-manager/backstage',
    );
    const tokens = create({ id: 'through.javascript', configKey: KEY, tokenFetch });
    return names.map((name) => keeper(workspace, name, { tokens }));
  }

  test('sends the token requests of all plugins with the function', async (t) => {
    const calls = [];
    const tokenFetch = (url, init) => {
      calls.push(url);
      return fetch(url, init);
    };
    const [alpha, beta] = keepers(tokenFetch, 'alpha', 'beta');
    const { endpoint } = await startBackend(t, workspace, [alpha.plugin, beta.plugin]);
    const services = [alpha, beta].map((plugin) => plugin.services.tokens);
    const [first, second] = await Promise.all(services.map((service) => service.getToken()));
    assert.equal(first, second);
    assert.deepEqual(calls, [endpoint.tokenEndpoint]);
  });

  test('rejects connection options, and the error names the key', async (t) => {
    const [{ plugin }] = keepers(true, 'alpha');
    const start = startBackend(t, workspace, [plugin], { auth: { proxy: 'http://proxy:3128' } });
    await assert.rejects(
      start,
      /boost\.kagenti\.auth.*proxy: this option does not work with tokenFetch/s,
    );
  });
});
