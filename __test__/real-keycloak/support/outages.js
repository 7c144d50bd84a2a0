/**
 * What the tests of outages share: a Keycloak of their own to be ended and paused, a load on a
 * manager, an onlooker that says when the server serves, a gateway of ours, and a table of what
 * came of it all. Times are in ms since the epoch, as the end of a token is.
 */
'use strict';

const assert = require('node:assert/strict');
const http = require('node:http');
const { once } = require('node:events');
const { after, before, describe } = require('node:test');
const { setTimeout: delay } = require('node:timers/promises');

const { KeycloakTokenManager } = require('../../..');
const { AugmentTokenManager } = require('../../../bench/baseline/augment-manager.js');
const { missingPrerequisites, startKeycloak } = require('../../../tools/keycloak');
const { claimsOf, createClient } = require('./keycloak');

/** The longest cool-down after an outage is 6.25 s; a token is there this soon after its end. */
const RECOVERED_WITHIN_MS = 7_000;
/** Covers a download and a first start on a slow machine. */
const START_TIMEOUT_MS = 10 * 60 * 1000;
const PATIENCE_MS = 3 * 60 * 1000;
const POLL_MS = 20;
const LOOK_TIMEOUT_MS = 5_000;
const SILENT = { error() {}, warn() {}, info() {}, debug() {} };

/**
 * As `describe`, with a server that the tests may end and pause. `define` gets the server once it
 * was started with `options`, as `keycloak.server`, and rows of the table are put to
 * `keycloak.rows`.
 */
function describeWithOwnKeycloak(name, options, define) {
  const missing = process.env.CI ? undefined : missingPrerequisites();
  const skip = missing === undefined ? false : `no Keycloak can be started: ${missing}`;
  describe(name, { skip }, () => {
    const keycloak = { rows: [] };
    before(
      async () => {
        keycloak.server = await startKeycloak({ log: (line) => console.error(line), ...options });
      },
      { timeout: START_TIMEOUT_MS },
    );
    after(async () => {
      await keycloak.server?.stop();
      printTable(keycloak.rows);
    });
    define(keycloak);
  });
}

/** A client whose tokens live so long, as options of a manager. */
async function clientWithLife(server, seconds) {
  const attributes = { 'access.token.lifespan': String(seconds) };
  const { clientId, secret } = await createClient(server, { attributes });
  return { clientId, clientSecret: secret };
}

const ours = (options) => new KeycloakTokenManager(options);

/** The class that is replaced, as it is used today; `requests` is how many it has sent. */
function plain({ clientSecret, ...options }) {
  const manager = new AugmentTokenManager({
    ...options,
    logger: SILENT,
    // It asks for the secret once per request.
    clientSecret: () => {
      manager.requests += 1;
      return clientSecret;
    },
  });
  return Object.assign(manager, { requests: 0 });
}

/**
 * Calls at this rate until `stop()`, which resolves when the last call is over. `call` gives a
 * token, or an object with it as `token`. What became of each call is in `calls`.
 */
function startLoad(perSecond, call) {
  const calls = [];
  const underWay = new Set();
  const timer = setInterval(() => {
    const observed = observe(call).then((outcome) => {
      calls.push(outcome);
      underWay.delete(observed);
    });
    underWay.add(observed);
  }, 1000 / perSecond);
  return {
    calls,
    served: () => calls.filter(({ isServed }) => isServed),
    failed: () => calls.filter(({ error }) => error !== undefined),
    stop: async () => {
      clearInterval(timer);
      await Promise.all(underWay);
    },
  };
}

/** A call is served if it got a token that has not ended when it is handed over. */
async function observe(call) {
  const begun = Date.now();
  try {
    const given = await call();
    const { token, expiresAt } = typeof given === 'string' ? { token: given } : given;
    const ended = Date.now();
    return { begun, ended, token, expiresAt, isServed: endOf(token) > ended };
  } catch (error) {
    return { begun, ended: Date.now(), error, isServed: false };
  }
}

const ends = new Map();

/** When a token ends by its own claims. */
function endOf(token) {
  if (!ends.has(token)) ends.set(token, claimsOf(token).exp * 1000);
  return ends.get(token);
}

/**
 * Sends one token request after the other, each on a connection of its own, and keeps when each was
 * `sent` and `ended`, and the `status` and the `retryAfter` seconds if there was an answer.
 */
function watch({ tokenEndpoint, clientId, clientSecret }) {
  const looks = [];
  let isOver = false;
  const looking = (async () => {
    while (!isOver) {
      const sent = Date.now();
      const answer = await look(tokenEndpoint, clientId, clientSecret);
      looks.push({ ...answer, sent, ended: Date.now() });
      await delay(POLL_MS);
    }
  })();
  const isTrue = async (test) => {
    await until(() => looks.some(test), 'the server answers so');
    return looks.find(test);
  };
  return {
    /** The first answer of this status to a request sent since then. */
    first: (status, since = 0) => isTrue((each) => each.status === status && each.sent >= since),
    /** The last token given to a request sent before then. */
    lastServed: (end) => looks.findLast(({ status, sent }) => status === 200 && sent < end),
    /** The longest time in seconds that the server wanted to be left alone. */
    longestRetryAfter: () => Math.max(...looks.map(({ retryAfter }) => retryAfter ?? 0)),
    stop: () => {
      isOver = true;
      return looking;
    },
  };
}

/** The answer to a plain token request; `undefined` without a complete answer. */
async function look(tokenEndpoint, clientId, clientSecret) {
  const form = new URLSearchParams({
    grant_type: 'client_credentials',
    client_id: clientId,
    client_secret: clientSecret,
  });
  const signal = AbortSignal.timeout(LOOK_TIMEOUT_MS);
  try {
    const answer = await post(tokenEndpoint, { signal, agent: false }, form.toString());
    return { status: answer.status, retryAfter: retryAfterOf(answer) };
  } catch {
    return undefined;
  }
}

const retryAfterOf = ({ headers }) => Number(headers['retry-after'] ?? 0);

async function post(url, options, form) {
  const headers = { 'content-type': 'application/x-www-form-urlencoded', ...options.headers };
  const request = http.request(url, { ...options, method: 'POST', headers });
  request.end(form);
  const [response] = await once(request, 'response');
  return {
    status: response.statusCode,
    headers: response.headers,
    body: Buffer.concat(await response.toArray()),
  };
}

/**
 * Starts a gateway before the token endpoint. `gateway.answer(ask, response)` is called for each
 * request and may be replaced: `ask()` gives the server's answer. `requests` are those that came,
 * with the time, and the `status` and `retryAfter` seconds of the server's answer if there was one.
 */
async function startGateway(target) {
  const agent = new http.Agent({ keepAlive: true });
  const gateway = { answer: passOn, requests: [] };
  const server = http.createServer(async (request, response) => {
    const seen = { at: Date.now() };
    gateway.requests.push(seen);
    const form = Buffer.concat(await request.toArray());
    const headers = { 'content-type': request.headers['content-type'] };
    const ask = async () => {
      const answer = await post(target, { agent, headers }, form);
      seen.status = answer.status;
      seen.retryAfter = retryAfterOf(answer);
      return answer;
    };
    // A server that cannot be reached through it is a connection that ends.
    await gateway.answer(ask, response).catch(() => response.destroy());
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { pathname } = new URL(target);
  gateway.tokenEndpoint = `http://127.0.0.1:${server.address().port}${pathname}`;
  gateway.close = async () => {
    server.close();
    server.closeAllConnections();
    agent.destroy();
    await once(server, 'close');
  };
  return gateway;
}

async function passOn(ask, response) {
  const { status, headers, body } = await ask();
  response.writeHead(status, headers).end(body);
}

/** Ends the connection in the middle of the body. */
async function tear(ask, response) {
  const { status, headers, body } = await ask();
  const { 'transfer-encoding': _, ...others } = headers;
  response.writeHead(status, { ...others, 'content-length': body.length });
  response.write(body.subarray(0, body.length / 2), () => response.destroy());
}

/** Fulfils as soon as `isTrue()` is. */
async function until(isTrue, what) {
  const end = Date.now() + PATIENCE_MS;
  while (!isTrue()) {
    assert.ok(Date.now() < end, `waited in vain until ${what}`);
    await delay(POLL_MS);
  }
}

/** How long after `up` the first call since then was served. */
async function recoveryAfter(up, load) {
  const isFirst = ({ isServed, ended }) => isServed && ended >= up.ended;
  await until(() => load.calls.some(isFirst), 'a call is served again');
  return load.calls.find(isFirst).ended - up.ended;
}

const percent = ({ calls, served }) => (100 * served().length) / calls.length;
const requestsOf = (manager) => {
  const { acquisitions, retries } = manager.snapshot().counters;
  return acquisitions + retries;
};

/** A row of the table; what a situation does not have stays empty. */
function row(situation, { load, requests, plainLoad, plainRequests, recoveryMs, times = '' }) {
  const share = (of) => (of === undefined ? '' : `${percent(of).toFixed(1)} %`);
  return {
    situation,
    calls: load?.calls.length ?? '',
    served: share(load),
    plain: share(plainLoad),
    requests: requests ?? '',
    "plain's": plainRequests ?? '',
    'recovery ms': recoveryMs ?? '',
    times,
  };
}

function printTable(rows) {
  if (rows.length === 0) return;
  const columns = Object.keys(rows[0]);
  const lines = [columns, ...rows.map((each) => columns.map((column) => String(each[column])))];
  const widths = columns.map((_, at) => Math.max(...lines.map((line) => line[at].length)));
  for (const line of lines) {
    console.log(
      line
        .map((cell, at) => cell.padEnd(widths[at]))
        .join('  ')
        .trimEnd(),
    );
  }
}

module.exports = {
  RECOVERED_WITHIN_MS,
  clientWithLife,
  describeWithOwnKeycloak,
  observe,
  ours,
  passOn,
  percent,
  plain,
  printTable,
  recoveryAfter,
  requestsOf,
  row,
  startGateway,
  startLoad,
  tear,
  until,
  watch,
};
