'use strict';

// The error of a missed deadline names the stage of the acquisition that took too long.

const assert = require('node:assert/strict');
const net = require('node:net');
const { describe, it } = require('node:test');
const { run } = require('./programs');
const { makeCertificates } = require('../tools/certificates.js');
const { listen } = require('./support/listen.js');
const { rejection, start, startEndpoint, times } = require('./support/manager.js');

const LIMIT_MS = 30_000;
/** The maximum number of concurrent requests to one server. */
const SLOTS = 64;

/** The address of a server that accepts connections and never answers. */
async function startSilentServer(t) {
  const { address } = await listen(t, net.createServer());
  return address;
}

describe('the error of a deadline names', { timeout: LIMIT_MS }, () => {
  for (const [name, makeOptions, message] of [
    [
      'the answer',
      async (t) => ({ tokenEndpoint: `http://${await startSilentServer(t)}/token` }),
      /within 200 ms \(attempt 1: waiting for the answer\)/,
    ],
    [
      'the discovery document',
      async (t) => ({
        tokenEndpoint: undefined,
        issuer: `http://${await startSilentServer(t)}/realms/r`,
      }),
      /within 200 ms \(discovery: waiting for the answer\)/,
    ],
    [
      'the connection',
      async (t) => ({
        tokenEndpoint: `https://${await startSilentServer(t)}/`,
        skipTlsVerify: true,
      }),
      /within 200 ms \(attempt 1: connecting\)/,
    ],
  ]) {
    it(name, async (t) => {
      const { open } = await start(t, { requestTimeoutMs: 200 });
      const call = open(await makeOptions(t)).getToken();
      assert.match((await rejection(call, 'ERR_KEYCLOAK_TIMEOUT')).message, message);
    });
  }

  it('other requests to the server', async (t) => {
    const { endpoint, open } = await start(t);
    endpoint.pause();
    const calls = times(SLOTS, () => open().getToken());
    await endpoint.waitForRequests(SLOTS);
    const call = open({ requestTimeoutMs: 200 }).getToken();
    const { message } = await rejection(call, 'ERR_KEYCLOAK_TIMEOUT');
    assert.match(message, /within 200 ms \(waiting for other requests to this server/);
    endpoint.resume();
    await Promise.all(calls);
  });

  it('the event loop', async (t) => {
    const { key, cert } = makeCertificates().server;
    const endpoint = await startEndpoint(t, { tls: { key, cert } });
    const program = run(t, 'blocked.js', [endpoint.tokenEndpoint, 'past the deadline', 600]);
    const { code, message } = await program.result();
    assert.equal(code, 'ERR_KEYCLOAK_TIMEOUT', message);
    assert.match(message, /attempt 1: waiting for the event loop/);
    assert.match(message, /find what blocks the event loop/);
  });
});
