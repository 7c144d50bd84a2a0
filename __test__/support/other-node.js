'use strict';

const { nodeBinary } = require('../../tools/node-versions.js');

/**
 * The program of that Node. Where it is not available, the test is skipped and the result is
 * `undefined`; on CI that is a failure.
 */
async function otherNode(t, major) {
  try {
    return await nodeBinary(major);
  } catch (error) {
    if (process.env.CI) throw error;
    t.skip(`Node ${major} is not available: ${error.message}`);
    return undefined;
  }
}

module.exports = { otherNode };
