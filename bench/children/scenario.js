'use strict';

// Runs a scenario, and returns its title and results.

module.exports = async ({ name, ...settings }) => {
  const { title, run } = require(`../scenarios/${name}.js`);
  return { title, ...(await run(settings)) };
};
