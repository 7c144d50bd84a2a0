'use strict';

// Runs the sides that are written in JavaScript on simulated time: `Date` and timers stand still
// during a call, so the endpoint, which is real, answers immediately. Our own core reads clocks
// that JavaScript cannot set; `core-figures.js` runs it on simulated time.

const { once } = require('node:events');
const http = require('node:http');
const { mock } = require('node:test');
const { loadSide } = require('./sides.js');

const START_MS = Date.UTC(2030, 0);

/**
 * An endpoint that answers with a status, or with tokens with this lifetime in seconds. A token is
 * the time at which it was issued.
 */
async function startSimulatedEndpoint({ status = 200, life }) {
  const requests = [];
  const server = http.createServer((request, response) => {
    const now = Date.now();
    requests.push(now);
    const answer =
      status === 200
        ? { access_token: `${now}`, expires_in: life, token_type: 'Bearer', scope: 'bench' }
        : { error: status === 401 ? 'unauthorized_client' : 'temporarily_unavailable' };
    request.resume().on('end', () => {
      response.statusCode = status;
      response.setHeader('Content-Type', 'application/json');
      response.end(JSON.stringify(answer));
    });
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const stop = () => {
    server.closeAllConnections();
    server.close();
  };
  return { url: `http://127.0.0.1:${server.address().port}/token`, requests, stop };
}

/**
 * Calls a side's `getToken()` a number of times at a constant interval. Returns the number of
 * requests, and how many calls waited for one, failed, or got an expired token.
 */
async function callOnSimulatedTime(side, { calls, everyMs, ...answers }) {
  const make = await loadSide(side);
  stopTime();
  const { url, requests, stop } = await startSimulatedEndpoint(answers);
  const outcome = { waited: 0, failed: 0, expired: 0 };
  try {
    const manager = make(url);
    for (let call = 0; call < calls; call += 1) {
      if (call > 0) mock.timers.tick(everyMs);
      const before = requests.length;
      try {
        const issuedAt = Number(await manager.getToken());
        if (Date.now() - issuedAt >= answers.life * 1000) outcome.expired += 1;
      } catch {
        outcome.failed += 1;
      }
      if (requests.length > before) outcome.waited += 1;
    }
    return { ...outcome, requests: requests.length };
  } finally {
    stop();
    mock.timers.reset();
  }
}

function stopTime() {
  // Node would warn once, in the middle of the table, that this is experimental.
  const { emitWarning } = process;
  process.emitWarning = () => {};
  try {
    mock.timers.enable({ apis: ['Date', 'setTimeout', 'setInterval'], now: START_MS });
  } finally {
    process.emitWarning = emitWarning;
  }
}

module.exports = { callOnSimulatedTime };
