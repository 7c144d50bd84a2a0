/**
 * Helpers of the tests of outages: a load on a manager, an observer of the server, and a gateway in
 * front of it. Times are in ms since the epoch, as the end of a token is.
 */
'use strict';

const http = require('node:http');
const { once } = require('node:events');
const { setTimeout: delay } = require('node:timers/promises');

const { listen } = require('../../support/listen');
const { until } = require('../../support/manager');
const { claimsOf, createClient } = require('./keycloak');

/** The longest cool-down after an outage is 6.25 s; a token is there this soon after its end. */
const RECOVERED_WITHIN_MS = 8_000;
const PATIENCE_MS = 3 * 60 * 1000;
const POLL_MS = 20;
const LOOK_TIMEOUT_MS = 5_000;

/** A client whose tokens live so long, as options of a manager. */
async function clientWithLife(server, seconds) {
  const attributes = { 'access.token.lifespan': String(seconds) };
  const { clientId, secret } = await createClient(server, { attributes });
  return { clientId, clientSecret: secret };
}

/**
 * Calls at this rate until `stop()`, which resolves when the last call is over. `call` gives a
 * token, or an object with it as `token`. `calls` has their outcomes.
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

/** A call is served if its token has not expired when it settles. */
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

/** When a token expires by its own claims. */
function endOf(token) {
  if (!ends.has(token)) ends.set(token, claimsOf(token).exp * 1000);
  return ends.get(token);
}

/**
 * Sends one token request after the other, each on its own connection, and keeps when each was
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
    await until(() => looks.some(test), 'the server answers so', PATIENCE_MS);
    return looks.find(test);
  };
  return {
    /** The first answer of this status to a request sent since then. */
    first: (status, since = 0) => isTrue((each) => each.status === status && each.sent >= since),
    /** The last token given to a request sent before then. */
    lastServed: (end) => looks.findLast(({ status, sent }) => status === 200 && sent < end),
    /** The longest `Retry-After` of the server, in seconds. */
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
  const { url, stop } = await listen(undefined, server);
  gateway.tokenEndpoint = url + new URL(target).pathname;
  gateway.close = () => {
    agent.destroy();
    return stop();
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

/** How long after `up` the first call since then was served. */
async function recoveryAfter(up, load) {
  const isFirst = ({ isServed, ended }) => isServed && ended >= up.ended;
  await until(() => load.calls.some(isFirst), 'a call is served again', PATIENCE_MS);
  return load.calls.find(isFirst).ended - up.ended;
}

module.exports = {
  RECOVERED_WITHIN_MS,
  PATIENCE_MS,
  clientWithLife,
  passOn,
  recoveryAfter,
  startGateway,
  startLoad,
  tear,
  watch,
};
