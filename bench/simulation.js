'use strict';

// Runs the sides that are written in JavaScript on simulated time: `Date` and timers stand still
// during a call, so the endpoint, which is real, answers immediately. Our own core reads clocks
// that JavaScript cannot set; `core-figures.js` runs it on simulated time.

const { once } = require('node:events');
const http = require('node:http');
const { mock } = require('node:test');
const { loadRivals, prepareRivals } = require('./rivals/index.js');
const { makePlain } = require('./sides.js');

const START_MS = Date.UTC(2030, 0);
/** A longer list does not fit below a plot. */
const NAMED = 3;

/** The plain class and the rivals that load on this Node, and notes about them. */
async function loadSides() {
  const prepared = await prepareRivals();
  const { rivals, notes } = await loadRivals();
  const sides = [{ name: 'plain', make: makePlain }, ...rivals];
  return { sides, notes: [...prepared.notes, ...notes] };
}

/** An endpoint that answers with a status, or with tokens with this lifetime in seconds. */
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
    /** The age of a token in seconds. */
    age: (token) => (Date.now() - issued.get(token)) / 1000,
    stop() {
      server.closeAllConnections();
      server.close();
    },
  };
}

/**
 * Calls `getToken()` a number of times at a constant interval. Returns the times of the requests,
 * in ms since the first call, and how many calls waited for one, failed, or got an expired token.
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
  // Node would warn once, in the middle of the table, that this is experimental.
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

module.exports = { callOnSimulatedTime, distinctLines, loadSides };
