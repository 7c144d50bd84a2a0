'use strict';

// Measures the time until the first token of a process. The measured time includes loading the code
// of the side. This process does not load the code of other sides.

const { loadSide } = require('../sides.js');

module.exports = async ({ side, url }) => {
  const start = performance.now();
  const make = await loadSide(side);
  const token = await make(url).getToken();
  const ms = performance.now() - start;
  if (typeof token !== 'string') throw new Error('no token');
  return ms;
};
