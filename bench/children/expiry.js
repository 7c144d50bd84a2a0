'use strict';

// Calls a side at a constant rate, whether or not earlier calls were answered, and reports what the
// callers saw.

const { quantile } = require('../measure.js');
const { TokenCache } = require('../rivals/table.js');
const { Floor, loadSide, makeOurs, makePlain } = require('../sides.js');

const TICK_MS = 1;
const MARGIN_SECONDS = 1;

/** The times in a token in seconds. */
function timesOf(token) {
  if (token === 'floor') return { exp: Number.POSITIVE_INFINITY };
  return JSON.parse(Buffer.from(token.split('.')[1], 'base64url'));
}

const expiry = (token) => timesOf(token).exp * 1000;

/**
 * A rival with a margin that suits tokens of 10 s. With the margin of 60 s of its own cache it
 * would never serve such a token twice.
 */
function withShortMargin(rival) {
  const acquire = async () => {
    const token = await rival.getToken();
    const { exp, iat } = timesOf(token);
    return { access_token: token, expires_in: exp - iat };
  };
  return new TokenCache(acquire, MARGIN_SECONDS);
}

async function make(side, url) {
  if (side === 'ours') return makeOurs(url);
  if (side === 'plain') return makePlain(url, { tokenExpiryBufferSeconds: MARGIN_SECONDS });
  if (side === 'floor') return new Floor('floor');
  return withShortMargin((await loadSide(side))(url));
}

module.exports = async ({ side, url, rate, seconds }) => {
  const manager = await make(side, url);
  const calls = rate * seconds;
  const intervalMs = 1000 / rate;
  // Made before the calls, so that it causes no garbage collection among them.
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
      // A late timer makes up for the calls that it missed.
      for (const now = performance.now(); due <= now && asked < calls; due += intervalMs) {
        asked += 1;
        call();
      }
      if (asked === calls) clearInterval(timer);
    }, TICK_MS);
  });

  return { ...seen, p999: quantile(latencies, 0.999), worst: quantile(latencies, 1) };
};
