'use strict';

// Runs a scenario in its own process. The argument names the file; the parent sends the settings
// and gets the result.

const path = require('node:path');

process.once('message', async (settings) => {
  let result = { title: path.basename(process.argv[2], '.js') };
  try {
    const { title, run } = require(process.argv[2]);
    result.title = title;
    result = { title, ...(await run(settings)) };
  } catch (error) {
    result.error = error.message;
  }
  process.send(result, () => process.exit());
});
