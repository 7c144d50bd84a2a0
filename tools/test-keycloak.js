'use strict';

// `npm run test:keycloak` runs the tests on a real Keycloak alone; `-- 24.0.5` runs them on that
// release instead of the newest, `-- 24.0.5 refusals changes` only the named files. What an older
// release does otherwise, and the reasons of what is left out on it, stand in
// `__test__/real-keycloak/support/differences.js`.

const fs = require('node:fs');
const path = require('node:path');
const { root, run } = require('./run.js');

const FOLDER = path.join('__test__', 'real-keycloak');
const END = '.test.js';
const LIMIT_SECONDS = 1800;

/** Runs `use(env)`: tests with this environment share one server, where one can be started. */
async function withSharedKeycloak(use) {
  // They read the release from the environment when they are loaded.
  const { missingPrerequisites } = require('./keycloak');
  const { shareServer } = require(path.join(root, FOLDER, 'support', 'keycloak.js'));
  if (!process.env.CI && missingPrerequisites() !== undefined) return use({});
  const server = await shareServer();
  try {
    return await use(server.env);
  } finally {
    await server.stop();
  }
}

function filesOf(names) {
  const all = fs.readdirSync(path.join(root, FOLDER)).filter((file) => file.endsWith(END));
  const files = names.length === 0 ? all : names.map((name) => name + END);
  const unknown = files.filter((file) => !all.includes(file));
  if (unknown.length > 0) throw new Error(`no ${unknown.join(', ')} in ${FOLDER}`);
  return files.sort().map((file) => path.join(FOLDER, file));
}

async function main(args) {
  const isVersion = (text) => /^\d/.test(text);
  const [version, ...more] = args.filter(isVersion);
  if (more.length > 0) throw new Error('one release at a time');
  const files = filesOf(args.filter((text) => !isVersion(text)));
  if (version !== undefined) process.env.KEYCLOAK_VERSION = version;
  await withSharedKeycloak((env) =>
    run(
      process.execPath,
      ['--expose-gc', '--test', '--test-concurrency=2', '--test-reporter=spec', ...files],
      {
        env,
        limitSeconds: LIMIT_SECONDS,
      },
    ),
  );
}

if (require.main === module) {
  main(process.argv.slice(2)).catch((error) => {
    console.error(error.message);
    process.exitCode = 1;
  });
}

module.exports = { withSharedKeycloak };
