'use strict';

// Measures the time until the first token of a fresh process over https. The process loads the
// code, collects the certificates that Node trusts, connects and sends the request. The endpoint's
// authority is in NODE_EXTRA_CA_CERTS, so all sides trust the same certificates.

const { bestRival, compareSides, measureSides } = require('../measure.js');
const { withEndpoint } = require('../endpoint.js');
const { runChild } = require('../child.js');
const { rivalsOnTheirNode } = require('../rivals/index.js');

async function run({ quick, tls }) {
  const rounds = quick ? 5 : 15;
  const { binary, names: rivals, notes } = await rivalsOnTheirNode();
  const ms = await withEndpoint({ tls }, ({ url }) =>
    // The first round brings the files into the page cache.
    measureSides(['ours', 'plain', 'raw', ...rivals], { rounds, warmUp: 1 }, (side) =>
      runChild('first-token', { side, url }, { binary }),
    ),
  );
  const sides = [['plain', 0.42], ['raw'], [bestRival(rivals, ms)]];
  return {
    rows: compareSides('first token, https, with require', 'ms', ms, sides),
    notes: [
      `${rounds} fresh processes for each side, in turns. The rival is the one nearest to ours.`,
      ...notes,
    ],
  };
}

module.exports = { title: 'First token of a process', run };
