'use strict';

// A scenario in a process of its own: runs the file named in the argument with the settings that
// the parent sends, and sends back what it found.

process.once('message', async (settings) => {
  const { title, run } = require(process.argv[2]);
  let result;
  try {
    result = await run(settings);
  } catch (error) {
    result = { error: error.message };
  }
  process.send({ title, ...result }, () => process.exit());
});
