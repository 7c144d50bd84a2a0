'use strict';

// Calls a side at a constant rate, whether or not earlier calls have settled, and reports the
// callers' results.

const { quantile } = require('../measure.js');
const { Floor, makeOurs, makePlain } = require('../sides.js');

const TICK_MS = 1;
const MARGIN_SECONDS = 1;

/** Returns the time at which a token expires, in ms. */
function expiry(token) {
  if (token === 'floor') return Number.POSITIVE_INFINITY;
  return JSON.parse(Buffer.from(token.split('.')[1], 'base64url')).exp * 1000;
}

const makers = {
  ours: makeOurs,
  plain: (url) => makePlain(url, { tokenExpiryBufferSeconds: MARGIN_SECONDS }),
  floor: () => new Floor('floor'),
};

module.exports = async ({ side, url, rate, seconds }) => {
  const manager = makers[side](url);
  const calls = rate * seconds;
  const intervalMs = 1000 / rate;
  // Allocates the array before the calls, so that it causes no garbage collection during the calls.
  const latencies = new Float64Array(calls);
  let last = await manager.getToken();
  let exp = expiry(last);
  let asked = 0;
  let answered = 0;
  const seen = { calls, tokens: 1, failures: 0, expired: 0 };

  await new Promise((resolve) => {
    const call = async () => {
      const start = performance.now();
      try {
        const token = await manager.getToken();
        latencies[answered] = performance.now() - start;
        if (token !== last) {
          last = token;
          seen.tokens += 1;
          exp = expiry(token);
        }
        if (Date.now() >= exp) seen.expired += 1;
      } catch {
        latencies[answered] = performance.now() - start;
        seen.failures += 1;
      }
      answered += 1;
      if (answered === calls) resolve();
    };
    let due = performance.now();
    const timer = setInterval(() => {
      // After a delay, the timer makes the calls that it missed.
      for (const now = performance.now(); due <= now && asked < calls; due += intervalMs) {
        asked += 1;
        call();
      }
      if (asked === calls) clearInterval(timer);
    }, TICK_MS);
  });

  return { ...seen, p999: quantile(latencies, 0.999), worst: quantile(latencies, 1) };
};
