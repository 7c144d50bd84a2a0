/**
 * A minute of refreshes from a real Keycloak, during which an administrator disables the client,
 * with the OpenTelemetry SDK and its Prometheus exporter.
 */
'use strict';

const assert = require('node:assert/strict');
const { test } = require('node:test');
const { setTimeout: delay } = require('node:timers/promises');

const { instrument } = require('../../lib/opentelemetry');
const { until } = require('../support/manager');
const { assertAgreement, assertDocumented, withoutTotal } = require('../telemetry/documented');
const { startSdk, usePackages, valueIn } = require('../telemetry/support');
const { createClient, describeWithKeycloak, manage } = require('./support/keycloak');
const { startLoad } = require('./support/outages');

const LIFE_SECONDS = 8;
const CALLS_PER_SECOND = 20;
/** The durations of the run's parts: before, during and after the failure. */
const RUN_MS = { healthy: 25_000, disabled: 10_000, again: 25_000 };
const PATIENCE_MS = 40_000;
const REMAINING = 'keycloak_client_token_remaining';

describeWithKeycloak('telemetry with a real Keycloak', {}, (keycloak) => {
  const packages = usePackages();

  test('agrees with the snapshot after a minute with a failure', async (t) => {
    const attributes = { 'access.token.lifespan': String(LIFE_SECONDS) };
    const client = await createClient(keycloak, { attributes });
    const { clientId, secret: clientSecret } = client;
    const { tokenEndpoint } = keycloak;
    const manager = manage(t, { tokenEndpoint, clientId, clientSecret, name: 'portal' });
    const sdk = startSdk(t, packages);
    instrument(manager, sdk.pick);
    const scrape = async () => withoutTotal(await sdk.scrape());
    const load = startLoad(t, manager, CALLS_PER_SECOND);

    await delay(RUN_MS.healthy);
    const { counters: healthy } = manager.snapshot();
    assert.ok(healthy.acquisitions >= 4, `${healthy.acquisitions} acquisitions`);
    await client.change({ enabled: false });
    await delay(RUN_MS.disabled);
    assert.equal(valueIn(await scrape(), REMAINING), 0, 'the token has expired');
    await client.change({ enabled: true });
    await until(() => manager.snapshot().state === 'fresh', 'the manager recovers', PATIENCE_MS);
    await delay(RUN_MS.again);
    await load.stop();
    const isIdle = () => manager.snapshot().counters.acquisitions === sdk.spans().length;
    await until(isIdle, 'the last acquisition ends');

    const [samples, snapshot] = [await scrape(), manager.snapshot()];
    const { port } = new URL(tokenEndpoint);
    assertDocumented(samples, { server_port: port, keycloak_client_id: clientId });
    const spans = sdk.spans();
    const failed = spans.filter(({ attributes: { 'error.type': code } }) => code !== undefined);
    const failures = failed.length;
    assert.ok(failures > 0);
    assertAgreement(samples, snapshot, { acquired: spans.length - failures, failures });
    for (const { attributes: found } of failed) {
      assert.equal(found['error.type'], 'ERR_KEYCLOAK_OAUTH');
      assert.equal(found['http.response.status_code'], 401);
    }
    t.diagnostic(`${spans.length} acquisitions, ${failures} failures, ${load.calls.length} calls`);
  });
});
