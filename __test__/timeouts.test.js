'use strict';

// If an acquisition misses its deadline, the error names the stage that took too long.

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

describe('the error after a missed deadline names', { timeout: LIMIT_MS }, () => {
  const noEndpoint = { tokenEndpoint: undefined };
  for (const [name, optionsFor, stage] of [
    [
      'the answer',
      (at) => ({ tokenEndpoint: `http://${at}/` }),
      'attempt 1: waiting for the response',
    ],
    [
      'the discovery document',
      (at) => ({ ...noEndpoint, issuer: `http://${at}/r` }),
      'discovery: waiting for the response',
    ],
    [
      'the connection',
      (at) => ({ tokenEndpoint: `https://${at}/`, skipTlsVerify: true }),
      'attempt 1: connecting',
    ],
  ]) {
    it(name, async (t) => {
      // The server accepts connections and never answers.
      const { address } = await listen(t, net.createServer());
      const { open } = await start(t, { requestTimeoutMs: 200 });
      const call = open(optionsFor(address)).getToken();
      const { message } = await rejection(call, 'ERR_KEYCLOAK_TIMEOUT');
      assert.ok(message.includes(`within 200 ms (${stage})`), message);
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
