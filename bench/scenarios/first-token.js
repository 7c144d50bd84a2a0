'use strict';

// Measures the first token of a fresh process over https: load the code, collect the certificates
// that Node trusts, connect, request. The authority of the endpoint is in NODE_EXTRA_CA_CERTS, so
// all sides trust the same certificates.

const { bestRival, compareSides, measureSides, pick } = require('../measure.js');
const { withEndpoint } = require('../endpoint.js');
const { runChild } = require('../child.js');
const { rivalsOnTheirNode } = require('../rivals/index.js');

async function run({ quick, tls }) {
  const rounds = quick ? 5 : 15;
  const { binary, names: rivals, notes } = await rivalsOnTheirNode();
  const results = await withEndpoint({ tls }, ({ url }) =>
    // The first round brings the files into memory.
    measureSides(['ours', 'plain', 'raw', ...rivals], { rounds, warmUp: 1 }, (side) =>
      runChild('first-token', { side, url }, { binary }),
    ),
  );
  const ms = pick(results, 'ms');
  const rows = (figure, values, ...sides) => compareSides(figure, 'ms', values, sides);
  const figure = 'first token, https, with require';
  const best = bestRival(rivals, ms);
  const others = rivals.filter((name) => name !== best).map((name) => [name]);
  return {
    rows: [
      ...rows(figure, ms, ['plain', 0.42], ['raw']),
      ...rows(`${figure}, best rival`, ms, [best]),
      ...rows(figure, ms, ...others),
      ...rows('the same, from the start of the process', pick(results, 'sinceStartMs'), ['plain']),
    ],
    notes: [
      `${rounds} fresh processes for each side, in turns. The best rival is the one that is ` +
        'nearest to ours.',
      ...notes,
    ],
  };
}

module.exports = { title: 'First token of a process', run };
