'use strict';

const { median } = require('./measure.js');

/**
 * Which of the rivals comes nearest to ours, by the median of the ratios of each round; undefined
 * if there is none. `valuesOf` gives a side's values by round.
 */
function bestRival(rivals, valuesOf) {
  const ours = valuesOf('ours');
  const ratioTo = (name) => {
    const theirs = valuesOf(name);
    return median(ours.map((value, round) => value / theirs[round]));
  };
  const [best] = rivals
    .map((name) => ({ name, ratio: ratioTo(name) }))
    .sort((one, other) => other.ratio - one.ratio);
  return best?.name;
}

module.exports = { bestRival };
