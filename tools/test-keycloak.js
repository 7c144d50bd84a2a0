'use strict';

// `npm run test:keycloak` runs the tests with a real Keycloak. With `-- 24.0.5`, it uses that
// release; with `-- 24.0.5 refusals changes`, it runs only the named files.
// `__test__/real-keycloak/support/differences.js` describes how older releases differ, and which
// tests they skip.

const path = require('node:path');
const { filesIn, nodeTest } = require('./node-test.js');
const { root, runMain } = require('./run.js');

const FOLDER = path.join('__test__', 'real-keycloak');

/** Runs the tests, with one server for all files that do not start a server themselves. */
async function testKeycloak(files = filesIn(FOLDER, '.test.js'), isBuffered = false) {
  // These modules read the release from the environment when Node loads them.
  const { missingPrerequisites } = require('./keycloak');
  const { shareServer } = require(path.join(root, FOLDER, 'support', 'keycloak.js'));
  const canStart = process.env.CI || missingPrerequisites() === undefined;
  const server = canStart ? await shareServer() : undefined;
  try {
    return await nodeTest(files, {
      mayLeaveOut: false,
      isBuffered,
      fileLimitSeconds: 1200,
      env: server?.env,
      // The tests mostly wait for a server.
      flags: ['--test-concurrency=2'],
    });
  } finally {
    await server?.stop();
  }
}

async function main(args) {
  const isVersion = (text) => /^\d/.test(text);
  const [version, ...more] = args.filter(isVersion);
  if (more.length > 0) throw new Error('expected one release');
  if (version !== undefined) process.env.KEYCLOAK_VERSION = version;
  const named = args.filter((text) => !isVersion(text));
  const files = named.map((name) => path.join(FOLDER, `${name}.test.js`));
  console.log(await testKeycloak(files.length > 0 ? files : undefined));
}

runMain(module, main);

module.exports = { testKeycloak };
