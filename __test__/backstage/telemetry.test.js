'use strict';

/** `telemetry: true` in a section of the configuration, with a metrics-only OpenTelemetry SDK. */

const assert = require('node:assert/strict');
const { describe, test } = require('node:test');
const { startSdk, usePackages } = require('../telemetry/support.js');
const { until } = require('../support/manager.js');
const { KEY, keeper, nest, startBackend, useWorkspace } = require('./support.js');

describe('telemetry in the configuration', () => {
  const workspace = useWorkspace();
  const packages = usePackages();

  test('reports the shared manager while a section turns it on', async (t) => {
    const api = workspace.require('@opentelemetry/api');
    const sdk = startSdk(t, packages);
    api.metrics.setGlobalMeterProvider(sdk.meterProvider);
    t.after(() => api.metrics.disable());
    const { keycloakTokenManagerServiceRef } = workspace.require(
      'keycloak-token-manager/backstage',
    );
    const deps = { tokens: keycloakTokenManagerServiceRef };
    const [alpha, beta] = ['alpha', 'beta'].map((id) => keeper(workspace, id, deps));
    const { section, edit } = await startBackend(t, workspace, [alpha.plugin, beta.plugin], {
      auth: { telemetry: 'true' },
    });
    const hits = async () => {
      const samples = await sdk.scrape();
      return samples.filter(({ name }) => /^keycloak_client_token_hits(_total)?$/.test(name));
    };
    /** Whether a call changes the value. */
    const isReported = async () => {
      const [before] = await hits();
      await alpha.services.tokens.getToken();
      return (await hits())[0].value > before.value;
    };
    await alpha.services.tokens.getToken();
    await beta.services.tokens.getToken();
    const [only, ...others] = await hits();
    assert.deepEqual(others, [], 'one manager');
    assert.equal(only.value, alpha.services.tokens.snapshot().counters.hits);
    assert.equal(only.labels.keycloak_client_name, 'test-client');
    await edit(nest(KEY, { ...section, telemetry: false }));
    await until(async () => !(await isReported()), 'the telemetry ends');
    await edit(nest(KEY, { ...section, telemetry: true }));
    await until(isReported, 'the telemetry begins again');
  });

  test('refuses a value that is not a boolean', async (t) => {
    const { plugin } = keeper(workspace, 'alpha', {
      tokens: workspace.require('keycloak-token-manager/backstage').keycloakTokenManagerServiceRef,
    });
    const start = startBackend(t, workspace, [plugin], { auth: { telemetry: 'yes please' } });
    await assert.rejects(start, /boost\.kagenti\.auth\.telemetry/);
  });
});
