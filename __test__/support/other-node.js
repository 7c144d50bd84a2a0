'use strict';

const { nodeBinary } = require('../../tools/node-versions.js');

/**
 * Returns the path of a Node of that major version. If this version is not available, the function
 * skips the test and returns `undefined`; on CI it fails the test.
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
