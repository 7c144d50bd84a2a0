/**
 * Changes that an administrator makes to a real Keycloak while managers run, and short tokens under
 * load. The tests run concurrently, each with its own client or realm.
 */
'use strict';

const assert = require('node:assert/strict');
const { writeFile } = require('node:fs/promises');
const { test } = require('node:test');
const { setInterval: ticks } = require('node:timers/promises');

const {
  claimsOf,
  createClient,
  createRealm,
  describeWithKeycloak,
  manage,
  secretOf,
} = require('./support/keycloak');
const { startLoad } = require('./support/outages');
const { startVerifyingApi } = require('./support/verifying-api');
const { makeFile } = require('../support/files.js');
const { recorder } = require('../support/manager.js');

const TICK_MS = 10;
const CALLS_PER_SECOND = 100;
/** Longer than the longest cool-down, even on a slow machine. */
const PATIENCE_MS = 90_000;
/** The delay of the timer with which the manager notices a token's expiry. */
const TIMER_MS = 50;
const LOAD_MS = 30_000;
/** The manager never uses the last 750 ms of a 3 s token; the server's rounding takes up to 1 s. */
const ROUNDED_MS = 250;
/** A call may be in progress for this time after the manager chose its token. */
const UNDER_WAY_MS = 5_000;
const CALLERS = 10;
/** The approximate time from the refresh of a 3 s token to its expiry. */
const SLOW_MS = 500;

const lifespan = (seconds) => ({ attributes: { 'access.token.lifespan': String(seconds) } });

/**
 * Changes that make the server refuse a working client, their reversal, and the expected message.
 */
const REVERSIBLE = [
  {
    what: 'a disabled client',
    spoil: ({ client }) => client.change({ enabled: false }),
    mend: ({ client }) => client.change({ enabled: true }),
    expected: /status 401 invalid_client .*is unknown or disabled/,
  },
  {
    what: 'a disabled realm',
    needsRealm: true,
    spoil: ({ realm }) => realm.admin('PUT', '', { enabled: false }),
    mend: ({ realm }) => realm.admin('PUT', '', { enabled: true }),
    expected: /status 403 access_denied .*the realm is disabled/,
  },
  {
    what: 'a service account that is turned off',
    spoil: ({ client }) => client.change({ serviceAccountsEnabled: false }),
    mend: ({ client }) => client.change({ serviceAccountsEnabled: true }),
    expected: /status 401 unauthorized_client .*the service account of client .* is off/,
  },
  {
    what: 'a regenerated secret, given as a string',
    spoil: ({ client }) => client.rotateSecret(),
    mend: ({ client }) => client.change({ secret: client.secret }),
    expected: /status 401 unauthorized_client .*the secret of client .* is wrong/,
  },
];

describeWithKeycloak('changes to a real Keycloak', { concurrency: true }, (keycloak) => {
  const manageHere = (t, options) =>
    manage(t, { tokenEndpoint: keycloak.tokenEndpoint, ...options });

  test('three-second tokens serve half a minute of load, and are valid at every call', async (t) => {
    const clientId = 'short';
    const { tokenEndpoint, realmUrl } = keycloak;
    const { logger, at } = recorder();
    const options = { tokenEndpoint, clientId, clientSecret: secretOf(clientId), logger };
    const { manager, statuses } = await startVerifyingApi(t, realmUrl, options, UNDER_WAY_MS);
    const load = startLoad(t, manager, CALLS_PER_SECOND);
    const end = Date.now() + LOAD_MS;
    for await (const _ of ticks(TICK_MS)) {
      assert.equal((await manager.fetch('agents')).status, 200);
      if (Date.now() > end) break;
    }
    await load.stop();
    assert.deepEqual(load.failed(), []);
    for (const { begun, ended, token } of load.calls) {
      const late = begun - claimsOf(token).exp * 1000;
      assert.ok(late < ROUNDED_MS, `asked ${late} ms after it expired, took ${ended - begun} ms`);
    }
    const tokens = new Set(load.calls.map(({ token }) => token)).size;
    const { counters, lastFailure } = manager.snapshot();
    assert.equal(lastFailure, undefined);
    assert.ok(statuses.length > 50 && statuses.every((status) => status === 200));
    assert.ok(tokens >= 10, `${tokens} tokens`);
    // On a busy machine some refreshes may be late, but most must be on time. Callers wait for a
    // new token if Keycloak takes longer than the remaining life of the old one.
    const durations = at('debug').map((line) => Number(/in (\d+) ms/.exec(line)?.[1]));
    const isWaitedFor = (ms, index) => index <= durations.length / 4 || ms > SLOW_MS;
    const waitMs = durations
      .sort((one, other) => other - one)
      .filter(isWaitedFor)
      .reduce((sum, ms) => sum + ms, 0);
    const waited = load.calls.length + statuses.length - counters.hits;
    const most = durations.length + (waitMs / 1000) * CALLS_PER_SECOND;
    assert.ok(waited <= most, `${waited} calls waited, for answers in ${durations} ms`);
  });

  test('the manager uses a regenerated secret from its file without a failed call', async (t) => {
    const { clientId, secret, rotateSecret } = await createClient(keycloak, lifespan(10));
    const clientSecretFile = makeFile(t, secret);
    const manager = manageHere(t, { clientId, clientSecretFile });
    await manager.getToken();
    await writeFile(clientSecretFile, await rotateSecret());
    const changedAt = Date.now();
    await firstOf(manager, ({ given, error, at }) => {
      assert.equal(error, undefined);
      const { exp, iat } = claimsOf(given.token);
      assert.ok(at < exp * 1000, 'the token is valid');
      return iat * 1000 > changedAt;
    });
  });

  for (const { what, needsRealm, spoil, mend, expected } of REVERSIBLE) {
    test(`${what} fails no call while the manager holds a token; later errors have advice, and calls recover`, async (t) => {
      const realm = needsRealm ? await createRealm(t, keycloak) : undefined;
      const client = await createClient(keycloak, { realm: realm?.name, ...lifespan(4) });
      const { clientId, secret: clientSecret } = client;
      const { tokenEndpoint } = realm ?? keycloak;
      const manager = manageHere(t, { tokenEndpoint, clientId, clientSecret });
      // Keycloak takes a long time to issue the first token of a realm.
      await manager.getToken();
      let held = await manager.getAccessToken({ forceRefresh: true });
      await spoil({ client, realm });
      const failure = await firstOf(manager, ({ given, error }) => {
        held = given ?? held;
        return error !== undefined;
      });
      const early = held.expiresAt - failure.at;
      assert.ok(early <= TIMER_MS, `${early} ms before the end of the last token`);
      assert.equal(failure.error.code, 'ERR_KEYCLOAK_OAUTH');
      assert.match(failure.error.message, expected);
      assert.equal(manager.snapshot().state, 'failing');
      await mend({ client, realm });
      const { given } = await firstOf(manager, (outcome) => outcome.given !== undefined);
      assert.equal(claimsOf(given.token).azp, clientId);
      assert.equal(manager.snapshot().state, 'fresh');
    });
  }

  test('a removed signing key causes one acquisition, no matter how many callers', async (t) => {
    const realm = await createRealm(t, keycloak);
    const { clientId, secret: clientSecret } = await createClient(keycloak, { realm: realm.name });
    const { tokenEndpoint, realmUrl } = realm;
    const options = { tokenEndpoint, clientId, clientSecret };
    const { manager, statuses } = await startVerifyingApi(t, realmUrl, options);
    const callAll = () => Promise.all(Array.from({ length: CALLERS }, () => manager.fetch('a')));
    await callAll();
    const first = await manager.getToken();

    const removeOldKey = await rotateKey(realm);
    await callAll();
    assert.equal(await manager.getToken(), first, 'a passive key is still valid');
    assert.ok(statuses.every((status) => status === 200));

    await removeOldKey();
    const answers = await callAll();
    assert.deepEqual([...new Set(answers.map(({ status }) => status))], [200]);
    assert.ok(statuses.includes(401), 'the old token was refused');
    const second = await manager.getToken();
    const { decodeProtectedHeader } = await import('jose');
    assert.notEqual(decodeProtectedHeader(second).kid, decodeProtectedHeader(first).kid);
    assert.equal(manager.snapshot().counters.acquisitions, 2);
  });
});

/** Makes calls until `isIt` holds for an outcome, and returns that outcome. */
async function firstOf(manager, isIt) {
  const deadline = Date.now() + PATIENCE_MS;
  for await (const _ of ticks(TICK_MS)) {
    const outcome = await manager.getAccessToken().then(
      (given) => ({ given, at: Date.now() }),
      (error) => ({ error, at: Date.now() }),
    );
    if (isIt(outcome)) return outcome;
    assert.ok(Date.now() < deadline, `waited in vain; ${outcome.error ?? 'tokens all the time'}`);
  }
}

/** Adds a new signing key; the old key stays until the test calls the returned function. */
async function rotateKey({ admin }) {
  const type = 'org.keycloak.keys.KeyProvider';
  const providers = await admin('GET', `/components?type=${type}`);
  const old = providers.find(({ providerId }) => providerId === 'rsa-generated');
  await admin('POST', '/components', {
    name: 'newer',
    providerId: old.providerId,
    providerType: type,
    parentId: old.parentId,
    config: { priority: ['200'], algorithm: ['RS256'] },
  });
  return () => admin('DELETE', `/components/${old.id}`);
}
