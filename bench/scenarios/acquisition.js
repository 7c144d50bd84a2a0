'use strict';

// Measures the cost of one acquisition for the caller and the main thread, on the Node version that
// rivals recommend. The bars apply to an early acquisition in a fresh process: a real process
// acquires a token every few minutes, so V8 does not optimise the client's code. After a thousand
// acquisitions in a row Node's own client takes a quarter of that time; the results show this too.

const { absolute, compare } = require('../measure.js');
const { startEndpoint } = require('../endpoint.js');
const { runChild } = require('../child.js');
const { bestRival } = require('../best-rival.js');
const { rivalsOnTheirNode } = require('../rivals/index.js');

const OWN = ['ours', 'plain', 'raw'];
const EARLY = { warmUp: 3, count: 20 };
const LATE = { warmUp: 1000, count: 30 };
const ANEW = { warmUp: 50, count: 20 };

/** The bars of `wall` and `cpu` are relative to the plain class. */
const kinds = [
  { name: 'warm http', options: {}, wall: 1, cpu: 0.35 },
  { name: 'warm https', options: { tls: true }, wall: 1, cpu: 0.35 },
  {
    name: 'new https connection',
    options: { tls: true, closeConnections: true },
    ...{ wall: 0.65, cpu: 0.1 },
  },
];
const anewKinds = [
  { name: 'http', options: { closeConnections: true } },
  { name: 'https', options: { tls: true, closeConnections: true } },
];

const valuesOf = (results, key) => (name) => results[name].map((result) => result[key]);

/** Rounds of fresh processes, one for each side. */
async function measureEarly(url, names, rounds, binary) {
  const results = Object.fromEntries(names.map((name) => [name, []]));
  for (let round = 0; round < rounds; round += 1) {
    for (let turn = 0; turn < names.length; turn += 1) {
      const name = names[(round + turn) % names.length];
      const args = [name, url, EARLY.warmUp, EARLY.count];
      results[name].push(await runChild('acquire-early.js', args, { binary }));
    }
  }
  return results;
}

function measureLate(url, names, { warmUp, count }, blocks, { binary, isAnew }) {
  const args = [url, warmUp, blocks, count, isAnew ? 1 : 0, ...names];
  return runChild('acquire-late.js', args, { binary });
}

/** Rows of the given figures, without missing sides. */
function rowsOf(label, results, figures) {
  const units = { wall: 'ms', main: 'µs', all: 'µs' };
  const names = { wall: 'wall', main: 'main-thread CPU', all: 'CPU of all threads' };
  return figures
    .filter(([, against]) => against !== undefined)
    .map(([key, against, atMost]) =>
      compare({
        figure: `${label}, ${names[key]}`,
        unit: units[key],
        ours: valuesOf(results, key)('ours'),
        other: valuesOf(results, key)(against),
        ...{ against, atMost },
      }),
    );
}

async function runKind({ name, options, wall, cpu }, { rivals, rounds, blocks, tls, binary }) {
  const endpoint = await startEndpoint({ ...options, tls: options.tls && tls });
  try {
    const early = await measureEarly(endpoint.url, [...OWN, ...rivals], rounds, binary);
    const { requests, connections, tls: versions } = await endpoint.counts();
    if (options.tls && versions.join() !== 'TLSv1.3') throw new Error(`spoke ${versions}`);
    if (options.closeConnections && connections !== requests) {
      throw new Error(`${connections} connections for ${requests} requests: ${name}`);
    }
    const best = bestRival(rivals, valuesOf(early, 'wall'));
    const sides = best === undefined ? OWN : [...OWN, best];
    const late = await measureLate(endpoint.url, sides, LATE, blocks, { binary });
    return [
      ...rowsOf(`acquire, ${name}`, early, [
        ['wall', best],
        ['wall', 'raw'],
        ['wall', 'plain', wall],
        ['main', 'raw'],
        ['main', 'plain', cpu],
        ['main', best],
        ['all', 'raw'],
        ...rivals.filter((rival) => rival !== best).map((rival) => ['wall', rival]),
      ]),
      ...rowsOf(`after a thousand, ${name}`, late, [
        ['wall', best],
        ['wall', 'raw'],
        ['main', best],
        ['main', 'raw'],
      ]),
    ];
  } finally {
    endpoint.stop();
  }
}

/** How many connections our side opens for the acquisitions of one process. */
async function connectionRow(binary) {
  const endpoint = await startEndpoint();
  try {
    await measureEarly(endpoint.url, ['ours'], 1, binary);
    const { connections, requests } = await endpoint.counts();
    const figure = `connections for ${requests} acquisitions, warm http`;
    return absolute({ figure, unit: '', ours: connections, atMost: 2 });
  } finally {
    endpoint.stop();
  }
}

async function runAnew({ name, options }, { rivals, blocks, tls, binary }) {
  const endpoint = await startEndpoint({ ...options, tls: options.tls && tls });
  try {
    const isAnew = true;
    const names = [...OWN, ...rivals];
    const results = await measureLate(endpoint.url, names, ANEW, blocks, { binary, isAnew });
    const best = bestRival(rivals, valuesOf(results, 'wall'));
    return rowsOf(`new manager, new ${name} connection`, results, [
      ['wall', best],
      ['wall', 'raw'],
      ['main', 'raw'],
    ]);
  } finally {
    endpoint.stop();
  }
}

async function run({ quick, tls }) {
  const { binary, names: rivals, notes } = await rivalsOnTheirNode();
  const settings = {
    rivals,
    rounds: quick ? 3 : 7,
    blocks: quick ? 5 : 11,
    ...{ tls, binary },
  };
  const rows = [];
  for (const kind of kinds) rows.push(...(await runKind(kind, settings)));
  rows.push(await connectionRow(binary));
  for (const kind of anewKinds) rows.push(...(await runAnew(kind, settings)));
  return {
    rows,
    notes: [
      `Early: acquisitions ${EARLY.warmUp + 1} to ${EARLY.warmUp + EARLY.count} of a process, ` +
        `${settings.rounds} rounds of a process for each side.`,
      `After a thousand: ${settings.blocks} interleaved blocks of ${LATE.count} after ` +
        `${LATE.warmUp} in a row; a new manager: the same with ${ANEW.count} after ${ANEW.warmUp}.`,
      'Main-thread CPU is also the longest for which an acquisition can keep the event loop.',
      'raw is http(s).request with an agent that keeps connections, and JSON.parse.',
      'The first rival of each kind is the one that comes nearest to ours.',
      'A new https connection resumes a TLS session where the client does so by default.',
      ...notes,
    ],
  };
}

module.exports = { title: 'Acquisition, endpoint in another process', run };
