'use strict';

// How long a caller may have to wait while tokens expire and the endpoint is slow. Ours, the plain
// class and the floor run side by side, each in a process of its own. The plain class has the
// setting that suits it best, a buffer of 1 s; it keeps every token for 10 s all the same, so it
// hands out expired ones, which are counted. The rival has a buffer of 1 s around it.

const { fork } = require('node:child_process');
const { once } = require('node:events');
const path = require('node:path');
const { absolute } = require('../measure.js');
const { startEndpoint } = require('../endpoint.js');
const { loadableRivals, prepareRivals } = require('../rivals/index.js');

const SIDES = ['ours', 'plain', 'floor'];
/** Beside them where the bars are. */
const RIVAL = 'openid-client';
const RATES = [1000, 10_000];
const DELAYS_MS = [5, 50, 500];
/** The one with bars takes as long as all the others, one after the other, beside it. */
const JUDGED = { rate: 1000, delayMs: 500, lifeSeconds: 10, expiries: 20 };
/** Of a shorter life the seconds in which the claims of a token count are too large a part. */
const OTHERS = { lifeSeconds: 4, expiries: 8 };
const QUICK = { judged: { lifeSeconds: 4, expiries: 6 }, others: { lifeSeconds: 4, expiries: 1 } };
const SPARE_MS = 30_000;

/** The results of each side's callers. */
async function observe({ rate, delayMs, lifeSeconds, expiries, sides = SIDES }) {
  const endpoint = await startEndpoint({ expiresIn: lifeSeconds, delayMs });
  const children = [];
  try {
    const seconds = lifeSeconds * expiries;
    const results = sides.map((side) => {
      const child = start([side, endpoint.url, rate, seconds], seconds * 1000 + SPARE_MS);
      children.push(child);
      return result(child);
    });
    const seen = await Promise.all(results);
    return {
      ...{ rate, delayMs, sides },
      ...Object.fromEntries(sides.map((side, index) => [side, seen[index]])),
    };
  } finally {
    for (const child of children) child.kill();
    endpoint.stop();
  }
}

function start(args, timeout) {
  const program = path.join(__dirname, '..', 'children', 'expiry.js');
  return fork(program, args.map(String), { timeout });
}

async function result(child) {
  const ended = once(child, 'exit').then(([code, signal]) => {
    throw new Error(`children/expiry.js ended early (${signal ?? code})`);
  });
  const [message] = await Promise.race([once(child, 'message'), ended]);
  return message;
}

/** The rival, if it is there and loads on this Node. */
async function findRival() {
  const { names } = await prepareRivals();
  return (await loadableRivals(names)).names.filter((name) => name === RIVAL);
}

async function run({ quick }) {
  const sides = [...SIDES, ...(await findRival())];
  const judgedSettings = { ...JUDGED, ...(quick ? QUICK.judged : {}), sides };
  const otherSettings = quick ? QUICK.others : OTHERS;
  const isJudged = ({ rate, delayMs }) => rate === JUDGED.rate && delayMs === JUDGED.delayMs;
  const combinations = RATES.flatMap((rate) => DELAYS_MS.map((delayMs) => ({ rate, delayMs })));
  const observeOthers = async () => {
    const seen = [];
    for (const combination of combinations.filter((one) => !isJudged(one))) {
      seen.push(await observe({ ...combination, ...otherSettings }));
    }
    return seen;
  };
  const [judged, others] = await Promise.all([observe(judgedSettings), observeOthers()]);
  return {
    rows: [
      ...judgedRows(judgedSettings, judged),
      ...otherRows(others),
      ...rowsOfAll(judged, others),
    ],
    notes: notes({ judged, judgedSettings, otherSettings }),
    curves: [curve(judgedSettings, judged)],
  };
}

function describe({ rate, delayMs }) {
  return `${rate.toLocaleString('en')} calls/s, endpoint ${delayMs} ms`;
}

function judgedRows({ expiries }, judged) {
  const { ours, plain, floor, [RIVAL]: rival } = judged;
  const figure = `${expiries} expiries, ${describe(judged)}`;
  const row = (name, key, other, against, limits) =>
    absolute({
      ...{ figure: `${figure}, ${name}`, unit: 'ms', ours: ours[key] },
      ...{ other: other[key], against, ...limits },
    });
  return [
    row('p99.9', 'p999', plain, 'plain'),
    row('p99.9', 'p999', floor, 'floor'),
    ...(rival ? [row('p99.9', 'p999', rival, RIVAL)] : []),
    absolute({
      ...{ figure: `${figure}, p99.9 above the floor`, unit: 'ms', atMost: 1 },
      ...{ ours: ours.p999 - floor.p999, other: plain.p999 - floor.p999 },
    }),
    row('worst', 'worst', plain, 'plain', { atMost: 60 }),
    row('worst', 'worst', floor, 'floor'),
  ];
}

function otherRows(others) {
  return others.map((seen) =>
    absolute({
      ...{ figure: `${describe(seen)}, p99.9 above the floor`, unit: 'ms' },
      ours: seen.ours.p999 - seen.floor.p999,
      other: seen.plain.p999 - seen.floor.p999,
    }),
  );
}

function rowsOfAll(judged, others) {
  const sum = (side, key) =>
    [judged, ...others].reduce((total, seen) => total + seen[side][key], 0);
  const row = (figure, key) =>
    absolute({ figure, unit: '', ours: sum('ours', key), other: sum('plain', key), atMost: 0 });
  return [row('failed calls', 'failures'), row('calls given an expired token', 'expired')];
}

function notes({ judged, judgedSettings, otherSettings }) {
  const { ours, plain } = judged;
  const { lifeSeconds, expiries, sides } = judgedSettings;
  return [
    ...(sides.includes(RIVAL) ? [] : [`${RIVAL} was left out: it is not there, or does not load.`]),
    `With bars: ${ours.calls} calls in ${lifeSeconds * expiries} s on each side, tokens of ` +
      `${lifeSeconds} s; ours had ${ours.tokens} of them, the plain class ${plain.tokens}, each ` +
      `kept for 10 s; ${plain.expired} of its calls got one past its exp.`,
    `The others meanwhile, one after the other: ${otherSettings.expiries} expiries of tokens of ` +
      `${otherSettings.lifeSeconds} s.`,
  ];
}

function curve({ expiries }, judged) {
  return {
    id: 'expiry-latency',
    title: `Callers across ${expiries} expiries, ${describe(judged)}`,
    x: { title: 'one call in so many takes longer', log: true },
    y: { title: 'ms', log: true },
    lines: judged.sides.map((name) => ({ name, points: judged[name].curve })),
  };
}

module.exports = { title: 'Callers while tokens expire', run };
