'use strict';

// The cost of loading the package, and the threads and sockets that it opens.

const { absolute, median, quartiles } = require('../measure.js');
const { startEndpoint } = require('../endpoint.js');
const { runChild } = require('../child.js');
const { binarySize } = require('../binary-size.js');

const MOST_BYTES = 3_750_000;

async function run({ quick }) {
  const rounds = quick ? 5 : 15;
  const endpoint = await startEndpoint();
  const results = { ours: [], plain: [] };
  try {
    // One more, not counted, brings the files into memory.
    for (let round = -1; round < rounds; round += 1) {
      for (const side of ['ours', 'plain']) {
        const answer = await runChild('load.js', [side, endpoint.url]);
        if (round >= 0) results[side].push(answer);
      }
    }
  } finally {
    endpoint.stop();
  }
  const row = (figure, unit, key, limits) => {
    const ours = results.ours.map((result) => result[key]);
    const plain = results.plain.map((result) => result[key]);
    return absolute({
      ...{ figure, unit, ours: median(ours), other: median(plain), spread: quartiles(ours) },
      ...limits,
    });
  };
  const { bytes, which } = binarySize();
  return {
    rows: [
      row('require, time', 'ms', 'requireMs', { atMost: 3 }),
      row('require, memory', 'MiB', 'requireMib', { atMost: 6 }),
      row('require, threads started', '', 'requireThreads', { atMost: 0 }),
      row('require, sockets opened', '', 'requireSockets', { atMost: 0 }),
      row('first token, threads started', '', 'tokenThreads', { atLeast: 1, atMost: 2 }),
      row('first token, memory', 'MiB', 'tokenMib'),
      absolute({ figure: 'binary, stripped', unit: 'bytes', ours: bytes, atMost: MOST_BYTES }),
    ],
    notes: [
      `Medians of ${rounds} fresh processes; ${results.ours[0].threads} threads before require.`,
      `The binary is ${which}.`,
    ],
  };
}

module.exports = { title: 'Loading the package', run };
