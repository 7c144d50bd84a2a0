'use strict';

// As defects.test.js, for the boost client (RB), of which there are two copies.

const assert = require('node:assert/strict');
const { describe, test } = require('node:test');
const {
  boost,
  failure,
  gate,
  grant,
  open,
  ours,
  recorder,
  sharedBoost,
} = require('./support/defects.js');

async function fiftyCalls(manager) {
  for (let call = 0; call < 50; call += 1) {
    await manager.getToken();
  }
  return manager.endpoint.requestCount;
}

describe('the boost client and ours', { concurrency: true, timeout: 30_000 }, () => {
  test('RB-1: a slow request does not overwrite the token of a later one', async (t) => {
    const overtaken = async (make) => {
      const slow = gate();
      const manager = make(t, await open(t, (n) => (n === 1 ? slow.opened : undefined)));
      const early = manager.getToken();
      await manager.endpoint.waitForRequests(1);
      manager.invalidateToken();
      const later = await manager.getToken();
      slow.open();
      const old = await early;
      assert.notEqual(old, later);
      return { manager, old, later };
    };

    const plain = await overtaken(sharedBoost);
    assert.equal(await plain.manager.getToken(), plain.old);

    const right = await overtaken(ours);
    assert.equal(await right.manager.getToken(), right.later);
    assert.equal(right.manager.endpoint.requestCount, 2);
  });

  test('RB-2: who asks after a revocation does not get what was requested before', async (t) => {
    const revokedBehind = async (make) => {
      const before = gate();
      const endpoint = await open(t, (n) => (n === 1 ? before.opened : undefined));
      const manager = make(t, endpoint);
      const early = manager.getToken();
      await endpoint.waitForRequests(1);
      manager.invalidateToken();
      return { before, early, endpoint, manager };
    };

    const plain = await revokedBehind(boost);
    const joined = plain.manager.getToken();
    plain.before.open();
    assert.equal(await joined, await plain.early);
    assert.equal(plain.endpoint.requestCount, 1);

    const right = await revokedBehind(ours);
    const fresh = right.manager.getToken();
    right.before.open();
    assert.notEqual(await right.early, await fresh);
    assert.equal(right.endpoint.requestCount, 2);

    // The same when a held token is refused while its refresh is in progress.
    const during = gate();
    const refreshing = await open(t, (n) => (n === 2 ? during.opened : undefined));
    const manager = ours(t, refreshing);
    const revoked = await manager.getToken();
    const refresh = manager.getToken({ forceRefresh: true });
    await refreshing.waitForRequests(2);
    assert.equal(manager.invalidateToken(revoked), true);
    const replacement = manager.getToken();
    during.open();
    assert.equal(new Set([revoked, await refresh, await replacement]).size, 3);
    assert.equal(await manager.getToken(), await replacement);
    assert.equal(refreshing.requestCount, 3);
  });

  test('RB-3: a token that lives no longer than the buffer is kept', async (t) => {
    const minute = () => ({ expiresIn: 60 });
    assert.equal(await fiftyCalls(boost(t, await open(t, minute))), 50);
    assert.equal(await fiftyCalls(ours(t, await open(t, minute))), 1);
  });

  test('RB-4: a Keycloak that accepts and stays silent does not hold callers', async (t) => {
    const endpoint = await open(t, () => ({ fault: 'hang' }));

    const parked = boost(t, endpoint).getToken();
    const manager = ours(t, endpoint, { requestTimeoutMs: 700 });
    const started = performance.now();
    const error = await failure(manager.getToken());
    const took = performance.now() - started;
    assert.equal(error.code, 'ERR_KEYCLOAK_TIMEOUT');
    assert.equal(error.retryable, true);
    assert.ok(took >= 650 && took < 2000, `${took} ms`);

    const late = new Promise((resolve) => setTimeout(resolve, 2500 - took, 'pending'));
    assert.equal(await Promise.race([parked, late]), 'pending');
    assert.equal(endpoint.requestCount, 2);
    await endpoint.close();
    await failure(parked);
  });

  test('RB-5: a lifetime that is no number is guessed low, not forgotten', async (t) => {
    const opaque = (n) => ({ body: { access_token: `opaque-${n}`, expires_in: 'abc' } });
    assert.equal(await fiftyCalls(boost(t, await open(t, opaque))), 50);

    const logger = recorder();
    const manager = ours(t, await open(t, opaque), { logger });
    assert.equal(await fiftyCalls(manager), 1);
    const { expiresAt, issuedAt } = await manager.getAccessToken();
    assert.equal(expiresAt - issuedAt, 9000);
    await logger.written('warn');
    assert.equal(logger.at('warn').length, 1);

    const ofJwt = ours(t, await open(t, (_n, endpoint) => grant(endpoint, 'abc', 120)));
    const known = await ofJwt.getAccessToken();
    assert.equal(known.expiresAt - known.issuedAt, 119_000);
  });

  test('RB-8: a secret in clear is warned of, and not repeated after a redirect', async (t) => {
    // It knows the same client, so it answers 200 to whoever brings the secret.
    const elsewhere = await open(t);
    const away = () => ({ fault: 'redirect', headers: { location: elsewhere.tokenEndpoint } });

    await sharedBoost(t, await open(t, away)).getToken();
    assert.equal(elsewhere.requestCount, 1);
    assert.equal(elsewhere.requests[0].authentication, 'client_secret_post');
    assert.equal(elsewhere.requests[0].status, 200);

    const manager = ours(t, await open(t, away));
    const error = await failure(manager.getToken());
    assert.equal(error.code, 'ERR_KEYCLOAK_PROTOCOL');
    assert.equal(error.status, 307);
    assert.equal(manager.endpoint.requestCount, 1);
    assert.equal(elsewhere.requestCount, 1, 'not visited again');

    // 0.0.0.0 is this machine, and not a loopback address.
    const anyhow = async (make, host) => {
      const log = recorder();
      const endpoint = await open(t);
      const tokenEndpoint = endpoint.tokenEndpoint.replace('127.0.0.1', host);
      const sender = make(t, endpoint, { logger: log, tokenEndpoint });
      await sender.getToken();
      sender.invalidateToken();
      await sender.getToken();
      assert.equal(endpoint.requestCount, 2);
      return log.at('warn').filter((line) => line.includes('plain http')).length;
    };
    assert.equal(await anyhow(sharedBoost, '0.0.0.0'), 0);
    assert.equal(await anyhow(ours, '0.0.0.0'), 1);
    assert.equal(await anyhow(ours, '127.0.0.1'), 0);
  });

  test('RB-9: an id with a colon and a secret with any character arrive as they are', async (t) => {
    const clientId = 'svc:app';
    const clientSecret = 'p+%2F ä:€';
    const credentials = { clientId, clientSecret };
    const clients = { [clientId]: clientSecret };

    const plain = boost(t, await open(t, undefined, { clients }), credentials);
    await assert.rejects(plain.getToken(), /status 401/);
    assert.equal(plain.endpoint.requests[0].clientId, 'svc');

    const clientAuthentication = 'client_secret_basic';
    const manager = ours(t, await open(t, undefined, { clients }), {
      ...credentials,
      clientAuthentication,
    });
    await manager.getToken();
    const [request] = manager.endpoint.requests;
    assert.equal(request.authentication, clientAuthentication);
    assert.equal(request.clientId, clientId);
    assert.equal(request.status, 200);
    assert.equal(manager.endpoint.requestCount, 1);
  });

  test('RB-12: one 503 and one lost connection are not seen by the caller', async (t) => {
    for (const fault of [{ status: 503 }, { fault: 'reset' }]) {
      const once = (n) => (n === 1 ? fault : undefined);

      const plain = boost(t, await open(t, once));
      await assert.rejects(plain.getToken());
      assert.equal(plain.endpoint.requestCount, 1);

      const manager = ours(t, await open(t, once));
      assert.equal(typeof (await manager.getToken()), 'string');
      assert.equal(manager.endpoint.requestCount, 2);
      assert.equal(manager.snapshot().counters.retries, 1);
    }
  });
});
