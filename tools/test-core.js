'use strict';

// `npm run test:core`: the core of the JavaScript suite on the addon that was built here, for
// systems on which not everything of `npm test` runs. With `--packages TARGET` the same on the
// packages of `dist/`, which npm installs once as well; Node must be for TARGET, and 22 or newer.

const { spawnSync } = require('node:child_process');
const fs = require('node:fs');
const os = require('node:os');
const path = require('node:path');
const { pathToFileURL } = require('node:url');
const { parseArgs } = require('node:util');
const { ownTarget } = require('./package/targets.js');
const { root } = require('./run.js');

/** Test files that start no process of their own and ask for nothing but Node and OpenSSL. */
const CORE = [
  ...['boundary', 'calls', 'failures', 'fetch', 'invalidation'],
  ...['options', 'secrets', 'signals', 'wire'],
];

/** Runs test files to their end; throws if one fails, or if none ran. */
function runTests(files, patterns = []) {
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'keycloak-token-manager-'));
  const report = path.join(folder, 'report');
  try {
    const reporter = pathToFileURL(path.join(__dirname, 'test-reporter.js'));
    const { status, error } = spawnSync(
      process.execPath,
      [
        ...['--expose-gc', '--test', '--test-reporter=spec', '--test-reporter-destination=stdout'],
        ...[`--test-reporter=${reporter}`, `--test-reporter-destination=${report}`],
        ...patterns.map((pattern) => `--test-name-pattern=${pattern}`),
        ...files,
      ],
      { cwd: root, stdio: 'inherit' },
    );
    if (error !== undefined) throw error;
    if (status !== 0) throw new Error(`the tests failed: exit code ${status}`);
    const { passed } = JSON.parse(fs.readFileSync(report, 'utf8').trimEnd().split('\n').at(-1));
    if (!(passed > 0)) throw new Error('no test ran');
    console.log(`${passed} tests passed on ${ownTarget()} with Node ${process.versions.node}`);
  } finally {
    fs.rmSync(folder, { recursive: true, force: true });
  }
}

function testPackages(target) {
  if (target !== ownTarget()) throw new Error(`this Node is for ${ownTarget()}, not for ${target}`);
  const [major] = process.versions.node.split('.');
  const file = (name) => path.join('__test__', 'package', `${name}.package.js`);
  runTests([file('install')], [`^Node ${major} a clean installation by npm `]);
  runTests([file('suite')], [`^the package of ${target} `]);
}

module.exports = { CORE };

if (require.main === module) {
  const { values } = parseArgs({ options: { packages: { type: 'string' } } });
  try {
    if (values.packages !== undefined) testPackages(values.packages);
    else runTests(CORE.map((name) => path.join('__test__', `${name}.test.js`)));
  } catch (error) {
    console.error(error.message);
    process.exitCode = 1;
  }
}
