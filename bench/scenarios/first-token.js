'use strict';

// The first token of a fresh process over https: load the code, gather what Node trusts, connect,
// ask. The endpoint's authority is in NODE_EXTRA_CA_CERTS, so all sides trust the same.

const { compare } = require('../measure.js');
const { startEndpoint } = require('../endpoint.js');
const { runChild } = require('../child.js');
const { bestRival } = require('../best-rival.js');
const { rivalModule, rivalsOnTheirNode } = require('../rivals/index.js');

const OWN = ['ours', 'plain', 'raw'];

async function run({ quick, tls }) {
  const rounds = quick ? 5 : 15;
  const { binary, names: rivals, notes } = await rivalsOnTheirNode();
  const names = [...OWN, ...rivals];
  const endpoint = await startEndpoint({ tls });
  const ms = Object.fromEntries(names.map((name) => [name, []]));
  const sinceStart = Object.fromEntries(names.map((name) => [name, []]));
  try {
    // One more, not counted, brings the files into memory.
    for (let round = -1; round < rounds; round += 1) {
      for (let turn = 0; turn < names.length; turn += 1) {
        const name = names[(round + 1 + turn) % names.length];
        const rest = OWN.includes(name) ? [] : [rivalModule(name)];
        const answer = await runChild('first-token.js', [name, endpoint.url, ...rest], { binary });
        if (round < 0) continue;
        ms[name].push(answer.ms);
        sinceStart[name].push(answer.sinceStartMs);
      }
    }
  } finally {
    endpoint.stop();
  }
  const row = (figure, values, against, atMost) =>
    compare({ figure, unit: 'ms', ours: values.ours, other: values[against], against, atMost });
  const figure = 'first token, https, with require';
  const best = bestRival(rivals, (name) => ms[name]);
  return {
    rows: [
      row(figure, ms, 'plain', 0.42),
      row(figure, ms, 'raw'),
      ...(best === undefined ? [] : [row(`${figure}, best rival`, ms, best)]),
      ...rivals.filter((name) => name !== best).map((name) => row(figure, ms, name)),
      row('the same, from the start of the process', sinceStart, 'plain'),
    ],
    notes: [
      `${rounds} fresh processes for each side, in turns. The best rival is the one that comes ` +
        'nearest to ours.',
      ...notes,
    ],
  };
}

module.exports = { title: 'First token of a process', run };
