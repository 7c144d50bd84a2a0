'use strict';

// A scenario in a process of its own: runs the file named in the argument with the settings that
// the parent sends, and sends back what it found.

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
