'use strict';

// Arguments: side, token endpoint, replacements after which to end (0: when told to). Calls every
// 2 ms, whether or not earlier calls were answered, and sends what the callers saw.

const { quantile } = require('../measure.js');
const { Floor, makeOurs, makePlain } = require('../sides.js');

const [, , side, url, replacements] = process.argv;
const INTERVAL_MS = 2;

const make = {
  ours: () => makeOurs(url),
  plain: () => makePlain(url, { tokenExpiryBufferSeconds: 1 }),
  floor: () => new Floor('token'),
};

async function main() {
  const manager = make[side]();
  const latencies = [];
  const tokens = new Set([await manager.getToken()]);
  let exp = Number.POSITIVE_INFINITY;
  let last;
  let failures = 0;
  let expired = 0;

  const call = async () => {
    const start = performance.now();
    try {
      const token = await manager.getToken();
      latencies.push(performance.now() - start);
      if (token !== last) {
        last = token;
        tokens.add(token);
        exp = expiry(token);
      }
      if (Date.now() >= exp) expired += 1;
    } catch {
      latencies.push(performance.now() - start);
      failures += 1;
    }
  };

  const finish = () => {
    clearInterval(timer);
    const outcome = {
      ...{ calls: latencies.length, tokens: tokens.size, failures, expired },
      p999: quantile(latencies, 0.999),
      worst: quantile(latencies, 1),
    };
    process.send(outcome, () => process.exit());
  };
  process.on('message', finish);
  process.on('disconnect', () => process.exit());

  let due = performance.now();
  const timer = setInterval(() => {
    // A late timer makes up for the calls that it missed.
    for (const now = performance.now(); due <= now; due += INTERVAL_MS) call();
    if (Number(replacements) > 0 && tokens.size > Number(replacements)) finish();
  }, INTERVAL_MS);
}

function expiry(token) {
  if (side === 'floor') return Number.POSITIVE_INFINITY;
  return JSON.parse(Buffer.from(token.split('.')[1], 'base64url')).exp * 1000;
}

main();
