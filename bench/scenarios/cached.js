'use strict';

// What a call costs while a token is held, on each version of Node that is supported.

const { compare } = require('../measure.js');
const { startEndpoint } = require('../endpoint.js');
const { nodeBinary, nodeMajors } = require('../node-versions.js');
const { runChild } = require('../child.js');

async function run({ quick }) {
  const rounds = quick ? 7 : 21;
  const calls = quick ? 100_000 : 200_000;
  const endpoint = await startEndpoint();
  const rows = [];
  const notes = [`${rounds} interleaved rounds of ${calls} awaited calls; token of 1.3 KB.`];
  try {
    for (const major of nodeMajors) {
      let binary;
      try {
        binary = await nodeBinary(major);
      } catch (error) {
        notes.push(`Node ${major} was left out: ${error.message}`);
        continue;
      }
      const perCall = await runChild('cached.js', [endpoint.url, rounds, calls], { binary });
      const row = { unit: 'ns', ours: perCall.ours };
      const figure = `cached getToken(), Node ${major}`;
      rows.push(
        compare({ ...row, figure, other: perCall.plain, atMost: 0.6 }),
        compare({ ...row, figure, other: perCall.floor, against: 'floor', atMost: 1.1 }),
      );
    }
  } finally {
    endpoint.stop();
  }
  return { rows, notes };
}

module.exports = { title: 'A call while a token is held', run };
