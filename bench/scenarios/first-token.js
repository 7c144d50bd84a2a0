'use strict';

// The first token of a fresh process over https: load the code, gather what Node trusts, connect,
// ask. The endpoint's authority is in NODE_EXTRA_CA_CERTS, so both sides trust the same.

const { compare } = require('../measure.js');
const { startEndpoint } = require('../endpoint.js');
const { runChild } = require('../child.js');

async function run({ quick, tls }) {
  const rounds = quick ? 7 : 21;
  const endpoint = await startEndpoint({ tls });
  const ms = { ours: [], plain: [] };
  const sinceStart = { ours: [], plain: [] };
  try {
    // One more, not counted, brings the files into memory.
    for (let round = -1; round < rounds; round += 1) {
      const names = round % 2 === 0 ? ['ours', 'plain'] : ['plain', 'ours'];
      for (const name of names) {
        const answer = await runChild('first-token.js', [name, endpoint.url]);
        if (round < 0) continue;
        ms[name].push(answer.ms);
        sinceStart[name].push(answer.sinceStartMs);
      }
    }
  } finally {
    endpoint.stop();
  }
  return {
    rows: [
      compare({
        ...{ figure: 'first token, https, with require', unit: 'ms' },
        ...{ ours: ms.ours, other: ms.plain, atMost: 0.4 },
      }),
      compare({
        ...{ figure: 'the same, from the start of the process', unit: 'ms' },
        ...{ ours: sinceStart.ours, other: sinceStart.plain },
      }),
    ],
    notes: [`${rounds} fresh processes for each side, in turns.`],
  };
}

module.exports = { title: 'First token of a process', run };
