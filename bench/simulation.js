'use strict';

// The sides that are JavaScript on simulated time: `Date` and timers stand still while a call is in
// progress, so an answer of the endpoint, which is real, comes at once. Our own core reads clocks
// that JavaScript cannot set; what it does on simulated time is in `core-figures.js`.

const { once } = require('node:events');
const http = require('node:http');
const { mock } = require('node:test');

const START_MS = Date.UTC(2030, 0);
/** More would not fit below a plot. */
const NAMED = 3;

/** The answer of an endpoint: a status, or tokens with this lifetime in seconds. */
async function startSimulatedEndpoint({ status = 200, life }) {
  const requests = [];
  const issued = new Map();
  const server = http.createServer((request, response) => {
    const now = Date.now();
    requests.push(now);
    const token = `token-${requests.length}`;
    if (status === 200) issued.set(token, now);
    const body = JSON.stringify(
      status === 200
        ? { access_token: token, expires_in: life, token_type: 'Bearer', scope: 'bench' }
        : { error: status === 401 ? 'unauthorized_client' : 'temporarily_unavailable' },
    );
    request.resume().on('end', () => {
      response.writeHead(status, {
        'Content-Type': 'application/json',
        'Content-Length': Buffer.byteLength(body),
      });
      response.end(body);
    });
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return {
    url: `http://127.0.0.1:${server.address().port}/token`,
    requests,
    /** How old a token is, in seconds. */
    age: (token) => (Date.now() - issued.get(token)) / 1000,
    stop() {
      server.closeAllConnections();
      server.close();
    },
  };
}

/**
 * Calls `getToken()` that often at that distance. Returns when requests came, in ms since the first
 * call, and how many calls had to wait for one, failed, or were given a token past its life.
 */
async function callOnSimulatedTime(make, { calls, everyMs, ...answers }) {
  stopTime();
  const endpoint = await startSimulatedEndpoint(answers);
  const outcome = { waited: 0, failed: 0, expired: 0 };
  try {
    const manager = make(endpoint.url);
    for (let call = 0; call < calls; call += 1) {
      if (call > 0) mock.timers.tick(everyMs);
      const before = endpoint.requests.length;
      try {
        const token = await manager.getToken();
        if (endpoint.age(token) >= answers.life) outcome.expired += 1;
      } catch {
        outcome.failed += 1;
      }
      if (endpoint.requests.length > before) outcome.waited += 1;
    }
    return { ...outcome, requests: endpoint.requests.map((time) => time - START_MS) };
  } finally {
    endpoint.stop();
    mock.timers.reset();
  }
}

function stopTime() {
  // Node says once that this is experimental, in the middle of the table.
  const { emitWarning } = process;
  process.emitWarning = () => {};
  try {
    mock.timers.enable({ apis: ['Date', 'setTimeout', 'setInterval'], now: START_MS });
  } finally {
    process.emitWarning = emitWarning;
  }
}

/** Lines with the same points as one, named after the first of them. */
function distinctLines(lines) {
  const names = new Map();
  for (const { name, points } of lines) {
    const key = JSON.stringify(points);
    names.set(key, [...(names.get(key) ?? []), name]);
  }
  return [...names].map(([key, all]) => ({ name: listed(all), points: JSON.parse(key) }));
}

function listed(names) {
  const others = names.length - NAMED;
  return others > 1 ? `${names.slice(0, NAMED).join(', ')} and ${others} others` : names.join(', ');
}

module.exports = { callOnSimulatedTime, distinctLines };
