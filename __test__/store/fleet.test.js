'use strict';

/**
 * Replicas of one client that share a real Valkey, for 15 s, or for a minute with `FLEET=full`. One
 * replica has a token before the others start: replicas that find the store empty at the same time
 * all log in.
 */

const assert = require('node:assert/strict');
const { before, describe, test } = require('node:test');
const { missingServers, startCacheServer } = require('../../tools/cache-servers.js');
const { run } = require('../programs');
const { CLIENT, startEndpoint, times } = require('../support/manager.js');
const { INSTALL_TIMEOUT_MS, installClients } = require('./support.js');

const isFull = process.env.FLEET === 'full';
const SECONDS = isFull ? 60 : 15;
/**
 * Two replicas may refresh at the same time. In a short run, one such coincidence changes the ratio
 * more.
 */
const SPARE_LOGINS = isFull ? 0 : 3;
const REPLICAS = 10;
const skip = process.env.CI ? undefined : missingServers();

describe('a fleet of ten replicas', { skip }, () => {
  let modules;
  before(
    async () => {
      modules = (await installClients())('node-redis');
    },
    { timeout: INSTALL_TIMEOUT_MS },
  );

  /** Starts the endpoint and the store of a fleet; `replica(seconds)` adds a replica. */
  async function startFleet(t, expiresIn) {
    const endpoint = await startEndpoint(t, {
      clients: { [CLIENT.clientId]: CLIENT.clientSecret },
      expiresIn,
    });
    const server = await startCacheServer('valkey');
    t.after(() => server.stop());
    const replica = async (seconds) => {
      const args = [endpoint.tokenEndpoint, seconds, 'node-redis', modules, server.port];
      const program = run(t, '../store/replica.js', args, { limitMs: (seconds + 30) * 1_000 });
      assert.equal(await program.next(), 'connected');
      return program;
    };
    return { endpoint, replica };
  }

  /** Runs replicas at the same time; resolves with the logins and the results. */
  async function runFleet(t, count) {
    const { endpoint, replica } = await startFleet(t, 6);
    const programs = await Promise.all(times(count, () => replica(SECONDS)));
    const [first, ...others] = programs;
    first.goOn();
    await first.next();
    for (const program of others) program.goOn();
    const results = await Promise.all(programs.map((program) => program.result()));
    return { logins: endpoint.requests.length, results };
  }

  test('logs in at most 1.5 times as often as one replica, and no call fails or waits', async (t) => {
    const [one, ten] = await Promise.all([runFleet(t, 1), runFleet(t, REPLICAS)]);
    const sorted = ten.results.flatMap(({ tookMs }) => tookMs).sort((a, b) => a - b);
    const p999 = sorted[Math.ceil(sorted.length * 0.999) - 1];
    t.diagnostic(
      `${SECONDS} s: ${ten.logins} logins of ten, ${one.logins} of one; ${sorted.length} calls, ` +
        `p99.9 ${p999.toFixed(1)} ms, worst ${sorted.at(-1).toFixed(1)} ms`,
    );
    assert.deepEqual(
      ten.results.flatMap(({ failed }) => failed),
      [],
    );
    assert.ok(sorted.length > REPLICAS * SECONDS * 10, `${sorted.length} calls`);
    const limit = 1.5 * one.logins + SPARE_LOGINS;
    assert.ok(ten.logins <= limit, `${ten.logins} logins, one replica ${one.logins}`);
    assert.ok(p999 <= 100, `p99.9 ${p999} ms`);
  });

  test('logs in at most twice during a rolling restart', async (t) => {
    const { endpoint, replica } = await startFleet(t, 300);
    const firstMs = [];
    const startReplica = async () => {
      const program = await replica(60);
      program.goOn();
      const { failed, tookMs } = await program.next();
      assert.equal(failed, undefined);
      firstMs.push(tookMs);
      return program;
    };
    const old = [];
    for (const _ of times(REPLICAS)) old.push(await startReplica());
    for (const program of old) {
      await startReplica();
      process.kill(program.pid, 'SIGTERM');
      await program.ended();
    }
    const sorted = firstMs.slice(1).sort((a, b) => a - b);
    const p90 = sorted[Math.ceil(sorted.length * 0.9) - 1];
    const logins = endpoint.requests.length;
    t.diagnostic(
      `${logins} logins; the first token took ${p90.toFixed(1)} ms (p90), ` +
        `${sorted.at(-1).toFixed(1)} ms at most`,
    );
    assert.ok(logins <= 2, `${logins} logins`);
    // The ten replicas compete for the processors.
    assert.ok(p90 <= 30, `${firstMs}`);
  });
});
