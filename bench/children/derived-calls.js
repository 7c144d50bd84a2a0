'use strict';

// Measures cached calls of 1,000 derived managers in turn, beside 1,000 promises that are already
// resolved: nanoseconds per call, round by round.

const { NS_PER_MS, measureSides } = require('../measure.js');
const { Floor, InTurn, makeDerived } = require('../sides.js');

const WARM_UP = 3;

/** All sides share the loop, so that V8 treats all sides alike when it inlines calls. */
async function readMany(managers, calls) {
  const start = performance.now();
  for (let call = 0; call < calls; call += 1) await managers.getToken();
  return ((performance.now() - start) * NS_PER_MS) / calls;
}

module.exports = async ({ url, rounds, calls }) => {
  const ours = makeDerived(url);
  const tokens = await ours.getTokens();
  const sides = { ours, floor: new InTurn(tokens.map((token) => new Floor(token))) };
  return measureSides(Object.keys(sides), { rounds, warmUp: WARM_UP }, (name) =>
    readMany(sides[name], calls),
  );
};
