'use strict';

const { nodeBinary } = require('../../bench/node-versions.js');

/**
 * The program of that Node. Where it cannot be had the test is skipped and there is none; on CI,
 * which promises it, that is a failure.
 */
async function otherNode(t, major) {
  try {
    return await nodeBinary(major);
  } catch (error) {
    if (process.env.CI) throw error;
    t.skip(`Node ${major} cannot be had: ${error.message}`);
    return undefined;
  }
}

module.exports = { otherNode };
