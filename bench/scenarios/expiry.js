'use strict';

// How long a caller may have to wait while tokens expire and the endpoint is slow. Ours, the plain
// class and the floor run side by side, each in a process of its own. The plain class has the
// setting that suits it best, a buffer of 1 s; it keeps every token for 10 s all the same, so it
// hands out expired ones, which are counted.

const { fork } = require('node:child_process');
const { once } = require('node:events');
const path = require('node:path');
const { absolute } = require('../measure.js');
const { startEndpoint } = require('../endpoint.js');

const LIFE_SECONDS = 3;
const DELAY_MS = 300;
const LIMIT_MS = 90_000;

async function run({ quick }) {
  const expiries = quick ? 5 : 20;
  const endpoint = await startEndpoint({ expiresIn: LIFE_SECONDS, delayMs: DELAY_MS });
  const started = performance.now();
  const children = Object.fromEntries(
    ['ours', 'plain', 'floor'].map((side) => [side, start(side, endpoint.url, expiries)]),
  );
  try {
    const results = { ours: await result(children.ours) };
    for (const side of ['plain', 'floor']) {
      children[side].send('stop');
      results[side] = await result(children[side]);
    }
    const seconds = (performance.now() - started) / 1000;
    return { rows: rows(expiries, results), notes: notes(seconds, results) };
  } finally {
    for (const child of Object.values(children)) child.kill();
    endpoint.stop();
  }
}

function start(side, url, expiries) {
  const program = path.join(__dirname, '..', 'children', 'expiry.js');
  const args = [side, url, side === 'ours' ? expiries : 0];
  return fork(program, args.map(String), { timeout: LIMIT_MS });
}

async function result(child) {
  const ended = once(child, 'exit').then(([code, signal]) => {
    throw new Error(`children/expiry.js ended early (${signal ?? code})`);
  });
  const [message] = await Promise.race([once(child, 'message'), ended]);
  return message;
}

function rows(expiries, { ours, plain, floor }) {
  const figure = `${expiries} expiries`;
  const row = (name, unit, key, limits) => [
    absolute({
      ...{ figure: `${figure}, ${name}`, unit, ours: ours[key], other: plain[key], ...limits },
    }),
  ];
  const withFloor = (name, key, limits) => [
    ...row(name, 'ms', key, limits),
    absolute({
      ...{ figure: `${figure}, ${name}`, unit: 'ms', ours: ours[key] },
      ...{ other: floor[key], against: 'floor' },
    }),
  ];
  return [
    ...withFloor('p99.9 of callers', 'p999', { atMost: 5 }),
    ...withFloor('worst caller', 'worst', { atMost: 60 }),
    ...row('failed calls', '', 'failures', { atMost: 0 }),
    ...row('calls given an expired token', '', 'expired', { atMost: 0 }),
  ];
}

function notes(seconds, { ours, plain }) {
  return [
    `${ours.calls} calls in ${seconds.toFixed(0)} s, one per 2 ms; token of ${LIFE_SECONDS} s, ` +
      `endpoint ${DELAY_MS} ms slow.`,
    `Plain class with a buffer of 1 s: ${plain.tokens} tokens in that time, each kept for 10 s; ` +
      `${plain.expired} of ${plain.calls} calls got one past its exp.`,
  ];
}

module.exports = { title: 'Callers while tokens expire', run };
