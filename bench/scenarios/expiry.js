'use strict';

// Measures how long a caller may have to wait while tokens expire and the endpoint is slow. Ours,
// the plain class and the floor run at the same time, each in its own process. The plain class has
// its most favourable setting, a buffer of 1 s; it nevertheless keeps every token for at least
// 10 s, so it hands out expired tokens, which are counted. The rival has a buffer of 1 s around it.

const { absolute } = require('../measure.js');
const { withEndpoint } = require('../endpoint.js');
const { runChild } = require('../child.js');
const { findRivals } = require('../rivals/index.js');

const SIDES = ['ours', 'plain', 'floor'];
/** It is measured only where the bars are. */
const RIVAL = 'openid-client';
const RATES = [1000, 10_000];
const DELAYS_MS = [5, 50, 500];
/** The combination with bars takes as long as all others together, which run at the same time. */
const JUDGED = { rate: 1000, delayMs: 500 };
const LIVES = {
  judged: { lifeSeconds: 10, expiries: 20 },
  // In a shorter life, the rounding of its times to seconds would matter too much.
  others: { lifeSeconds: 4, expiries: 8 },
};
const QUICK_LIVES = {
  judged: { lifeSeconds: 4, expiries: 6 },
  others: { lifeSeconds: 4, expiries: 1 },
};
const SPARE_MS = 30_000;

/** What the callers of each side saw. */
function observe({ rate, delayMs, lifeSeconds, expiries, sides = SIDES }) {
  const seconds = lifeSeconds * expiries;
  const stop = new AbortController();
  const limits = { timeout: seconds * 1000 + SPARE_MS, signal: stop.signal };
  return withEndpoint({ expiresIn: lifeSeconds, delayMs }, async ({ url }) => {
    try {
      const start = async (side) => [
        side,
        await runChild('expiry', { side, url, rate, seconds }, limits),
      ];
      return { rate, delayMs, ...Object.fromEntries(await Promise.all(sides.map(start))) };
    } finally {
      stop.abort();
    }
  });
}

async function observeOthers(lives) {
  const seen = [];
  for (const rate of RATES) {
    for (const delayMs of DELAYS_MS) {
      const isJudged = rate === JUDGED.rate && delayMs === JUDGED.delayMs;
      if (!isJudged) seen.push(await observe({ rate, delayMs, ...lives }));
    }
  }
  return seen;
}

async function run({ quick }) {
  const lives = quick ? QUICK_LIVES : LIVES;
  const { names } = await findRivals();
  const sides = [...SIDES, ...names.filter((name) => name === RIVAL)];
  const [judged, others] = await Promise.all([
    observe({ ...JUDGED, ...lives.judged, sides }),
    observeOthers(lives.others),
  ]);
  const { lifeSeconds, expiries } = lives.judged;
  return {
    rows: [
      ...judgedRows(expiries, judged),
      ...others.map((seen) => aboveFloor(describe(seen), seen)),
      ...sums([judged, ...others]),
    ],
    notes: [
      ...(sides.includes(RIVAL) ? [] : [`${RIVAL} was left out: it is missing or does not load.`]),
      `With bars: ${judged.ours.calls} calls in ${lifeSeconds * expiries} s on each side, tokens ` +
        `of ${lifeSeconds} s; ours had ${judged.ours.tokens} of them, the plain class ` +
        `${judged.plain.tokens}, each kept for 10 s; ${judged.plain.expired} of its calls got ` +
        'one past its exp.',
      `The others at the same time, one after the other: ${lives.others.expiries} expiries of ` +
        `tokens of ${lives.others.lifeSeconds} s.`,
    ],
  };
}

function describe({ rate, delayMs }) {
  return `${rate.toLocaleString('en')} calls/s, endpoint ${delayMs} ms`;
}

function aboveFloor(figure, { ours, plain, floor }, atMost) {
  return absolute({
    figure: `${figure}, p99.9 above the floor`,
    unit: 'ms',
    ours: ours.p999 - floor.p999,
    other: plain.p999 - floor.p999,
    atMost,
  });
}

function judgedRows(expiries, judged) {
  const figure = `${expiries} expiries, ${describe(judged)}`;
  const row = (name, key, against, atMost) =>
    absolute({
      figure: `${figure}, ${name}`,
      unit: 'ms',
      ours: judged.ours[key],
      other: judged[against][key],
      against,
      atMost,
    });
  return [
    row('p99.9', 'p999', 'plain'),
    row('p99.9', 'p999', 'floor'),
    ...(judged[RIVAL] === undefined ? [] : [row('p99.9', 'p999', RIVAL)]),
    aboveFloor(figure, judged, 1),
    row('worst', 'worst', 'plain', 60),
    row('worst', 'worst', 'floor'),
  ];
}

function sums(all) {
  const sum = (side, key) => all.reduce((total, seen) => total + seen[side][key], 0);
  const row = (figure, key) =>
    absolute({ figure, ours: sum('ours', key), other: sum('plain', key), atMost: 0 });
  return [row('failed calls', 'failures'), row('calls given an expired token', 'expired')];
}

module.exports = { title: 'Callers while tokens expire', run };
