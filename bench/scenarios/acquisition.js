'use strict';

// Measures the cost of one acquisition for the caller and the main thread, on the Node version that
// rivals recommend. The bars apply to an early acquisition in a fresh process: a real process
// acquires a token every few minutes, so V8 does not optimise the client's code. After a thousand
// acquisitions in a row, Node's own client takes a quarter of that time, which the results also
// show.

const { absolute, bestRival, compareSides, measureSides, pick } = require('../measure.js');
const { withEndpoint } = require('../endpoint.js');
const { runChild } = require('../child.js');
const { rivalsOnTheirNode } = require('../rivals/index.js');

const OWN = ['ours', 'plain', 'raw'];
const EARLY = { warmUp: 3, blocks: 1, count: 20 };
const LATE = { warmUp: 1000, count: 30 };

/** The bars of `wall` and `cpu` are relative to the plain class. */
const KINDS = [
  { name: 'warm http', wall: 1, cpu: 0.35 },
  { name: 'warm https', isSecure: true, wall: 1, cpu: 0.35 },
  { name: 'new https connection', isSecure: true, closeConnections: true, wall: 0.65, cpu: 0.1 },
];

/** Returns rows that compare time and CPU with the sides `[name, bar]`, and omits missing sides. */
function rowsOf(label, results, { wall, main }) {
  return [
    ...compareSides(`${label}, wall`, 'ms', pick(results, 'wall'), wall),
    ...compareSides(`${label}, main-thread CPU`, 'µs', pick(results, 'main'), main),
  ];
}

async function run({ quick, tls }) {
  const rounds = quick ? 3 : 7;
  const blocks = quick ? 5 : 11;
  const { binary, names: rivals, notes } = await rivalsOnTheirNode();
  const acquire = (options) => runChild('acquire', options, { binary });

  const runKind = ({ name, isSecure, closeConnections, wall, cpu }) =>
    withEndpoint({ closeConnections, tls: isSecure && tls }, async ({ url, counts }) => {
      // Each round runs a fresh process for each side.
      const early = await measureSides([...OWN, ...rivals], { rounds }, async (side) => {
        const results = await acquire({ url, names: [side], ...EARLY });
        return results[side][0];
      });
      const { requests, connections, tls: versions } = await counts();
      if (isSecure && versions.join() !== 'TLSv1.3') throw new Error(`used ${versions}`);
      if (closeConnections && connections !== requests) {
        throw new Error(`${connections} connections for ${requests} requests: ${name}`);
      }
      const best = bestRival(rivals, pick(early, 'wall'));
      const names = [...OWN, best].filter((side) => side !== undefined);
      const late = await acquire({ url, names, blocks, ...LATE });
      return [
        ...rowsOf(`acquire, ${name}`, early, {
          wall: [[best], ['raw'], ['plain', wall]],
          main: [[best], ['raw'], ['plain', cpu]],
        }),
        ...rowsOf(`after a thousand, ${name}`, late, {
          wall: [[best], ['raw']],
          main: [[best], ['raw']],
        }),
      ];
    });

  /** Counts the connections that our side opens in one process. */
  const countConnections = () =>
    withEndpoint({}, async ({ url, counts }) => {
      await acquire({ url, names: ['ours'], ...EARLY });
      const { connections: ours, requests } = await counts();
      const figure = `connections for ${requests} acquisitions, warm http`;
      return absolute({ figure, ours, atMost: 2 });
    });

  const rows = [];
  for (const kind of KINDS) rows.push(...(await runKind(kind)));
  rows.push(await countConnections());
  return {
    rows,
    notes: [
      `Early: acquisitions ${EARLY.warmUp + 1} to ${EARLY.warmUp + EARLY.count} of a process, ` +
        `${rounds} rounds of a process for each side.`,
      `After a thousand: ${blocks} interleaved blocks of ${LATE.count} after ${LATE.warmUp} in a row.`,
      'Main-thread CPU is also the longest time for which an acquisition can block the event loop.',
      'raw is http(s).request with a keep-alive agent, and JSON.parse.',
      'The rival of each kind is the one that is nearest to ours.',
      'A new https connection resumes a TLS session if the client does so by default.',
      ...notes,
    ],
  };
}

module.exports = { title: 'Acquisition, endpoint in another process', run };
