'use strict';

const { nodeBinary } = require('../../tools/node-versions.js');

/**
 * The program of that Node. If it is not available, the test is skipped and there is none; on CI,
 * which promises it, that is a failure.
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
