'use strict';

// Runs the sides that are written in JavaScript on simulated time: `Date` and timers stand still
// during a call, so the real endpoint's answers take no simulated time. Our own core reads clocks
// that JavaScript cannot set; `core-figures.js` runs it on simulated time.

const { once } = require('node:events');
const http = require('node:http');
const { mock } = require('node:test');
const { loadSide } = require('./sides.js');

const START_MS = Date.UTC(2030, 0);

/**
 * Calls a side's `getToken()` a number of times at a constant interval, and returns the number of
 * requests. The endpoint answers with a status, or with tokens with this lifetime in seconds.
 */
async function callOnSimulatedTime(side, { calls, everyMs, status = 200, life }) {
  const make = await loadSide(side);
  mock.timers.enable({ apis: ['Date', 'setTimeout', 'setInterval'], now: START_MS });
  let requests = 0;
  const server = http.createServer((request, response) => {
    requests += 1;
    const answer =
      status === 200
        ? { access_token: `${requests}`, expires_in: life, token_type: 'Bearer', scope: 'bench' }
        : { error: status === 401 ? 'unauthorized_client' : 'temporarily_unavailable' };
    request.resume().on('end', () => {
      response.writeHead(status, { 'Content-Type': 'application/json' });
      response.end(JSON.stringify(answer));
    });
  });
  try {
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    const manager = make(`http://127.0.0.1:${server.address().port}/token`);
    for (let call = 0; call < calls; call += 1) {
      if (call > 0) mock.timers.tick(everyMs);
      // Only the number of requests counts, so a failed call is ignored.
      await manager.getToken().catch(() => {});
    }
    return requests;
  } finally {
    server.closeAllConnections();
    server.close();
    mock.timers.reset();
  }
}

module.exports = { callOnSimulatedTime };
