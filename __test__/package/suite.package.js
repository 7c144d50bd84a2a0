'use strict';

// Runs the core of the JavaScript suite on the files of dist/, for every platform in dist/ that can
// run here. Another C library runs with its own loader, and another processor runs in an emulator.

const assert = require('node:assert/strict');
const { cpSync } = require('node:fs');
const path = require('node:path');
const { after, describe, it } = require('node:test');
const { findPlatformPackage } = require('../../tools/package/platform-package.js');
const { foreignNode, isEmulated } = require('../../tools/package/foreign-node.js');
const { ownTarget, targets } = require('../../tools/package/targets.js');
const { CORE } = require('../../tools/test-core.js');
const jestConfig = require('../../tools/jest.config.js');
const { makeCertificates } = require('../../tools/certificates.js');
const { startFakeTokenEndpoint } = require('../../lib/testing');
const { ROOT, builtTargets, installByHand, readMain, readPackage } = require('./support/dist.js');
const { LIMIT_MS, makeProject } = require('./support/project.js');

/** The number of processes whose median the test compares with a limit. */
const ROUNDS = 9;

/** The suites without time limits. An emulator, which is 20 times slower, would exceed them. */
const UNHURRIED = ['calls', 'options', 'signals', 'wire'];

const HTTPS = `
const { KeycloakTokenManager } = require('./index.js');
const { startFakeTokenEndpoint } = require('./lib/testing');
const [ca, key, cert] = ['ca.pem', 'server.key', 'server.pem'].map((file) =>
  require('node:fs').readFileSync(process.argv[2] + '/' + file, 'utf8'));
(async () => {
  const endpoint = await startFakeTokenEndpoint({ tls: { key, cert } });
  const options = {
    tokenEndpoint: endpoint.tokenEndpoint, clientId: 'test-client', clientSecret: 'test-secret',
  };
  const token = await new KeycloakTokenManager({ ...options, ca }).getToken();
  const stranger = new KeycloakTokenManager(options).getToken();
  const { code } = await stranger.then(() => ({ code: 'none' }), (error) => error);
  await endpoint.close();
  console.log([token.split('.').length, code, process.arch].join(' '));
})();
`;

function median(numbers) {
  return numbers.toSorted((a, b) => a - b)[Math.floor(numbers.length / 2)];
}

/** The command that runs Node for a target, or the reason why this system cannot run it. */
async function nodeFor(name) {
  if (name === ownTarget()) return { command: process.execPath, args: [], env: {} };
  return foreignNode(name).catch((error) => ({ reason: error.message.split('\n')[0] }));
}

for (const name of builtTargets()) {
  describe(`the package of ${name}`, { timeout: 10 * LIMIT_MS }, () => {
    const certificates = makeCertificates();
    after(() => certificates.remove());

    /**
     * Makes a folder with the checkout's layout and the published files. Returns a function that
     * runs Node in it.
     */
    async function layOut(t) {
      const { command, args, env, reason } = await nodeFor(name);
      if (reason !== undefined) return t.skip(reason);
      const project = makeProject(t, { 'https.js': HTTPS });
      for (const [file, content] of readMain().files) project.write(file, content);
      installByHand(project.folder, readPackage(findPlatformPackage(name)));
      for (const part of [
        'support',
        'programs',
        'jest',
        ...CORE.map((suite) => `${suite}.test.js`),
      ]) {
        const to = path.join(project.folder, '__test__', part);
        cpSync(path.join(ROOT, '__test__', part), to, { recursive: true });
      }
      // The suite also reads files that the bundle `index.js` includes, or that the package does
      // not contain.
      for (const file of [
        'lib/native.js',
        'lib/platform-packages.js',
        'lib/reconfigure.js',
        'options.json',
      ]) {
        cpSync(path.join(ROOT, file), path.join(project.folder, file));
      }
      return (...more) => project.run(command, [...args, '--expose-gc', ...more], { env });
    }

    for (const suite of isEmulated(name) ? UNHURRIED : CORE) {
      it(`passes the suite ${suite}`, async (t) => {
        const node = await layOut(t);
        const output = await node?.('--test-reporter=tap', `__test__/${suite}.test.js`);
        if (output !== undefined) assert.match(output, /^# pass [1-9]\d*\n# fail 0$/m);
      });
    }

    it('passes the Jest suite', {
      skip: name !== ownTarget() && 'Jest is tested once',
    }, async (t) => {
      const node = await layOut(t);
      const config = { ...jestConfig, rootDir: undefined, roots: ['<rootDir>/__test__/jest'] };
      const args = ['--ci', '--detectOpenHandles', '--json', '--config', JSON.stringify(config)];
      const jest = path.join(ROOT, 'node_modules', 'jest', 'bin', 'jest.js');
      const { success, openHandles } = JSON.parse(await node(jest, ...args));
      assert.deepEqual([success, openHandles], [true, []]);
    });

    it('is cheap to load, and starts no thread and opens no socket before the first token', {
      skip: name !== ownTarget() && 'the costs are measured once',
    }, async (t) => {
      const node = await layOut(t);
      const endpoint = await startFakeTokenEndpoint();
      t.after(() => endpoint.close());
      const rounds = [];
      for (let round = 0; round < ROUNDS; round += 1) {
        rounds.push(JSON.parse(await node('__test__/programs/costs.js', endpoint.tokenEndpoint)));
      }
      const ratio = median(rounds.map(({ required, https }) => required.ms / https.ms));
      const mib = median(rounds.map(({ required }) => required.mib));
      t.diagnostic(`${ratio.toFixed(2)} of node:https, ${mib.toFixed(1)} MiB`);
      assert.ok(ratio <= 1, `require took ${ratio} times as long as that of node:https`);
      assert.ok(mib <= 6, `require took ${mib} MiB`);
      for (const { required, constructed, closed, token } of rounds) {
        for (const step of [required, constructed, closed]) {
          assert.deepEqual([step.threads, step.sockets], [0, 0]);
        }
        assert.equal(closed.code, 'ERR_KEYCLOAK_CLOSED');
        assert.ok(token.threads === 1 || token.threads === 2, `${token.threads} threads more`);
        assert.equal(token.sockets >= 1, true, 'sockets are seen');
      }
    });

    it('speaks https, and trusts the given authority', async (t) => {
      const node = await layOut(t);
      const output = await node?.('https.js', certificates.directory);
      if (output !== undefined) assert.equal(output, `3 ERR_KEYCLOAK_TLS ${targets[name].cpu}\n`);
    });
  });
}
