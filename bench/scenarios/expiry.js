'use strict';

// Measures the time for which callers wait while tokens expire and the endpoint is slow. All sides
// run at the same time, each in its own process. The plain class has its most favourable setting, a
// buffer of 1 s; it nevertheless keeps every token for at least 10 s, so it hands out expired
// tokens, which the scenario counts.

const { absolute } = require('../measure.js');
const { withEndpoint } = require('../endpoint.js');
const { runChild } = require('../child.js');

const SIDES = ['ours', 'plain', 'floor'];
const RATE = 1000;
const DELAY_MS = 500;
// With a shorter life, the plain class's rounding to seconds would matter too much.
const USUAL = { lifeSeconds: 10, expiries: 20 };
const QUICK = { lifeSeconds: 4, expiries: 6 };
const SPARE_MS = 30_000;

async function run({ quick }) {
  const { lifeSeconds, expiries } = quick ? QUICK : USUAL;
  const seconds = lifeSeconds * expiries;
  const stop = new AbortController();
  const limits = { timeout: seconds * 1000 + SPARE_MS, signal: stop.signal };
  const [ours, plain, floor] = await withEndpoint(
    { expiresIn: lifeSeconds, delayMs: DELAY_MS },
    ({ url }) =>
      Promise.all(
        SIDES.map((side) => runChild('expiry', { side, url, rate: RATE, seconds }, limits)),
      ).finally(() => stop.abort()),
  );
  const where = `${expiries} expiries, ${RATE} calls/s, endpoint ${DELAY_MS} ms`;
  const row = (name, read, atMost) =>
    absolute({
      figure: `${where}, ${name}`,
      unit: 'ms',
      ours: read(ours),
      other: read(plain),
      atMost,
    });
  const count = (figure, key) =>
    absolute({ figure, ours: ours[key], other: plain[key], atMost: 0 });
  return {
    rows: [
      row('p99.9 above the floor', ({ p999 }) => p999 - floor.p999, 1),
      row('worst', ({ worst }) => worst, 60),
      count('failed calls', 'failures'),
      count('calls given an expired token', 'expired'),
    ],
    notes: [
      `${ours.calls} calls in ${seconds} s on each side. Tokens live for ${lifeSeconds} s. Ours ` +
        `got ${ours.tokens} tokens; the plain class got ${plain.tokens}, and kept each for 10 s.`,
      `The floor, a resolved promise, took ${floor.worst.toFixed(2)} ms at worst.`,
    ],
  };
}

module.exports = { title: 'Callers while tokens expire', run };
