'use strict';

// `npm run test:core` runs the core of the JavaScript tests with the addon of this checkout, for
// systems on which `npm test` cannot run completely. With `--packages TARGET`, it tests the
// packages in `dist/`, and also installs them with npm once. `--packages` requires Node 22 or
// newer, built for TARGET.

const path = require('node:path');
const { parseArgs } = require('node:util');
const { nodeTest } = require('./node-test.js');
const { ownTarget } = require('./package/targets.js');
const { runMain } = require('./run.js');

/** Test files that start no other process and need only Node and OpenSSL. */
const CORE = [
  'boundary',
  'calls',
  'failures',
  'fetch',
  'invalidation',
  'options',
  'secrets',
  'signals',
  'wire',
];

async function testPackages(target) {
  if (target !== ownTarget()) throw new Error(`this Node is for ${ownTarget()}, not for ${target}`);
  const [major] = process.versions.node.split('.');
  for (const [name, pattern] of [
    ['install', `^Node ${major} a clean installation by npm `],
    ['suite', `^the package of ${target} `],
  ]) {
    const file = path.join('__test__', 'package', `${name}.package.js`);
    console.log(await nodeTest([file], { flags: [`--test-name-pattern=${pattern}`] }));
  }
}

async function main() {
  const { values } = parseArgs({ options: { packages: { type: 'string' } } });
  if (values.packages !== undefined) return testPackages(values.packages);
  const note = await nodeTest(CORE.map((name) => path.join('__test__', `${name}.test.js`)));
  console.log(`${note} passed on ${ownTarget()} with Node ${process.versions.node}`);
}

module.exports = { CORE };

runMain(module, main);
