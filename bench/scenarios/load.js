'use strict';

// Measures the cost of loading the package, and the threads and sockets that it opens.

const { absoluteMedian, measureSides, pick } = require('../measure.js');
const { withEndpoint } = require('../endpoint.js');
const { runChild } = require('../child.js');

async function run({ quick }) {
  const rounds = quick ? 5 : 15;
  const results = await withEndpoint({}, ({ url }) =>
    // The first round brings the files into the page cache.
    measureSides(['ours', 'plain'], { rounds, warmUp: 1 }, (side) =>
      runChild('load', { side, url }),
    ),
  );
  const row = (figure, unit, key, limits) =>
    absoluteMedian(pick(results, key), { figure, unit, ...limits });
  return {
    rows: [
      row('require, time', 'ms', 'requireMs', { atMost: 3 }),
      row('require, memory', 'MiB', 'requireMib', { atMost: 6 }),
      row('require, threads started', '', 'requireThreads', { atMost: 0 }),
      row('require, sockets opened', '', 'requireSockets', { atMost: 0 }),
      row('first token, threads started', '', 'tokenThreads', { atMost: 2 }),
      row('first token, memory', 'MiB', 'tokenMib'),
    ],
    notes: [
      `Medians of ${rounds} fresh processes; ${results.ours[0].threads} threads before require.`,
    ],
  };
}

module.exports = { title: 'Loading the package', run };
