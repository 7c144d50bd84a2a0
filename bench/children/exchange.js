'use strict';

// Measures calls on behalf of many users: the time of each call, and the main thread's CPU time.
// Pages of a portal open at a fixed rate, and each page makes several calls at once.

const { setTimeout: sleep } = require('node:timers/promises');
const { quantile, threadCpuNs } = require('../measure.js');
const { makeExchange } = require('../rivals/exchange.js');
const { makeOurs } = require('../sides.js');

const APIS = 20;
const APIS_OF_A_USER = 2;
/** The number of calls that a page makes at once. */
const CALLS_OF_A_PAGE = 4;
const TICK_MS = 20;
const HOUR_SECONDS = 3600;

const encode = (value) => Buffer.from(JSON.stringify(value)).toString('base64url');

/** Returns a token as long as a user's token. No side verifies its signature. */
function tokenOf(user) {
  const exp = Math.floor(Date.now() / 1000) + HOUR_SECONDS;
  const claims = { exp, sub: `user-${user}`, roles: 'portal-user '.repeat(60) };
  return `${encode({ alg: 'RS256', typ: 'JWT' })}.${encode(claims)}.${encode('s'.repeat(200))}`;
}

async function makerOf(side, url) {
  if (side !== 'ours') return makeExchange(url);
  const manager = makeOurs(url);
  return (subjectToken, audience) => manager.onBehalfOf(subjectToken, { audience }).getToken();
}

module.exports = async ({ side, url, users, pagesPerSecond, seconds }) => {
  const tokenFor = await makerOf(side, url);
  const subjects = Array.from({ length: users }, (_, user) => tokenOf(user));
  const times = [];
  const call = async (user, api) => {
    const start = performance.now();
    await tokenFor(subjects[user], `api-${(user + api) % APIS}`);
    times.push(performance.now() - start);
  };
  // Both sides call in the same order.
  let next = 0;
  const openPage = () => {
    const user = (next * 7919) % users;
    const api = Math.floor(next / users) % APIS_OF_A_USER;
    next += 1;
    return Array.from({ length: CALLS_OF_A_PAGE }, () => call(user, api));
  };
  gc();
  const before = threadCpuNs();
  const start = performance.now();
  const calls = [];
  for (let elapsed = 0; elapsed < seconds * 1000; elapsed = performance.now() - start) {
    const due = (elapsed * pagesPerSecond) / 1000;
    while (next < due) calls.push(...openPage());
    await sleep(TICK_MS);
  }
  await Promise.all(calls);
  const cpuUs = (threadCpuNs() - before) / 1000 / times.length;
  return { calls: times.length, p99: quantile(times, 0.99), cpuUs };
};
