'use strict';

/** The option `tokenFetch` of a service, which a configuration file cannot express. */

const assert = require('node:assert/strict');
const { describe, test } = require('node:test');
const { keeper, KEY, startBackend, useWorkspace } = require('./support.js');

describe('a service with tokenFetch', () => {
  const workspace = useWorkspace();

  test('sends the token requests of all plugins with the function', async (t) => {
    const { createKeycloakTokenManagerServiceRef } = workspace.require(
      'keycloak-token-manager/backstage',
    );
    const calls = [];
    const tokens = createKeycloakTokenManagerServiceRef({
      id: 'through.javascript',
      configKey: KEY,
      tokenFetch: (url, init) => {
        calls.push(url);
        return fetch(url, init);
      },
    });
    const [alpha, beta] = ['alpha', 'beta'].map((id) => keeper(workspace, id, { tokens }));
    const { endpoint } = await startBackend(t, workspace, [alpha.plugin, beta.plugin]);
    const services = [alpha, beta].map((plugin) => plugin.services.tokens);
    const [first, second] = await Promise.all(services.map((service) => service.getToken()));
    assert.equal(first, second);
    assert.deepEqual(calls, [endpoint.tokenEndpoint]);
  });

  test('rejects the options for connections, and the error names the key', async (t) => {
    const { createKeycloakTokenManagerServiceRef } = workspace.require(
      'keycloak-token-manager/backstage',
    );
    const tokens = createKeycloakTokenManagerServiceRef({
      id: 'through.javascript',
      configKey: KEY,
      tokenFetch: true,
    });
    const { plugin } = keeper(workspace, 'alpha', { tokens });
    const start = startBackend(t, workspace, [plugin], { auth: { proxy: 'http://proxy:3128' } });
    await assert.rejects(start, /boost\.kagenti\.auth.*proxy: cannot be used with tokenFetch/s);
  });
});
