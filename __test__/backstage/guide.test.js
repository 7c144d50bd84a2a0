'use strict';

/**
 * Follows docs/backstage.md and nothing else: runs the page's configuration, plugin, backend and
 * commands, with the backend in its own process.
 */

const assert = require('node:assert/strict');
const { execFile } = require('node:child_process');
const { cp, mkdtemp, readFile, rm, writeFile } = require('node:fs/promises');
const { tmpdir } = require('node:os');
const path = require('node:path');
const { test } = require('node:test');
const { promisify } = require('node:util');
const { startBackend } = require('../../examples/backstage-plugin/backend-process.js');
const { USER, signIn } = require('../../examples/backstage-plugin/stage.js');
const { makeWorkspace } = require('../../tools/backstage-workspace.js');
const { startApi } = require('../support/api-server.js');
const { findBlocks, toCommonJs } = require('../support/documents.js');
const { startEndpoint } = require('../support/manager.js');
const { INSTALL_TIMEOUT_MS } = require('./support.js');

const PAGE = 'docs/backstage.md';
const EXAMPLE = path.join(__dirname, '..', '..', 'examples', 'backstage-plugin');
const BACKEND = 'packages-backend';
const SECRET = 'a secret + of 40 %';

/** The page's commands, each with the test that runs it. */
const COMMANDS = {
  'yarn --cwd packages/backend add keycloak-token-manager': 'package/install.package.js',
  'curl --header "Authorization: Bearer $USER_TOKEN" http://localhost:7007/api/agents':
    'backstage/guide.test.js',
  'npm run example -- --embedded': 'backstage/example.test.js',
};

/** Returns the page's first block in this language whose code contains `text`. */
const block = (language, text) => findBlocks(PAGE, language, text)[0].code;

/** Writes the backend package of an app, with the page's files. */
async function makeBackend(t) {
  const folder = await mkdtemp(path.join(tmpdir(), 'keycloak-token-manager-guide-'));
  t.after(() => rm(folder, { recursive: true, force: true }));
  const write = (name, text) => writeFile(path.join(folder, name), text);
  // Replaces an app's auth plugin, because a test cannot sign in with a browser.
  await cp(path.join(EXAMPLE, 'backend', 'sign-in.js'), path.join(folder, 'sign-in.js'));
  const index = block('ts', 'createBackend()').replace(
    'backend.start()',
    "backend.add(import('./sign-in.js'));\nbackend.start()",
  );
  await write('index.js', toCommonJs(index));
  await write('agents.js', toCommonJs(block('ts', 'agents.ts')));
  const dependencies = { 'keycloak-token-manager': '*' };
  await write('package.json', JSON.stringify({ name: BACKEND, main: 'index.js', dependencies }));
  return folder;
}

test('the steps of docs/backstage.md lead to a successful call', {
  timeout: INSTALL_TIMEOUT_MS,
}, async (t) => {
  const endpoint = await startEndpoint(t, {
    realm: 'my-realm',
    clients: { 'my-client': SECRET },
  });
  const api = await startApi(t, () => [200, { 'content-type': 'application/json' }, '["weather"]']);
  const workspace = await makeWorkspace([await makeBackend(t)]);
  t.after(workspace.remove);
  // The example's configuration, with the page's section.
  const example = await readFile(path.join(EXAMPLE, 'app-config.yaml'), 'utf8');
  const [server, users] = example.split(/^boost:\n.*(?=^example:)/ms);
  const section = block('yaml', 'boost:').replace('https://api.example', api.url);
  const file = path.join(workspace.folder, 'app-config.yaml');
  await writeFile(file, server + section + users);
  const { key, token } = await signIn();
  const backend = await startBackend(workspace.folder, BACKEND, {
    KEYCLOAK_URL: endpoint.url,
    CLIENT_SECRET: SECRET,
    USER_KEY: JSON.stringify(key),
  });
  t.after(backend.stop);

  const command = block('sh', 'curl').replace('http://localhost:7007', backend.url);
  const call = (userToken) =>
    promisify(execFile)('sh', ['-c', command.replace('curl', 'curl --silent')], {
      env: { ...process.env, USER_TOKEN: userToken },
    });
  const { stdout } = await call(await token(USER));
  assert.equal(stdout, '["weather"]', backend.output());
  const [{ url, headers }] = api.requests;
  assert.equal(url, '/v1/agents');
  assert.equal(headers['x-backstage-user'], USER);
  assert.match(headers.authorization, /^Bearer ey/);
  assert.match(backend.output(), /the manager uses configuration "boost\.kagenti\.auth" \(/);

  assert.match((await call('nonsense')).stdout, /AuthenticationError/);
  assert.equal(api.requests.length, 1);
  assert.equal(endpoint.requestCount, 1);
});

test('a test runs every command on the page', async () => {
  const commands = findBlocks(PAGE, 'sh').map(({ code }) => code.trim());
  assert.deepEqual(commands.sort(), Object.keys(COMMANDS).sort());
  for (const file of Object.values(COMMANDS)) {
    const text = await readFile(path.join(__dirname, '..', file), 'utf8');
    assert.match(text, /docs\/backstage\.md|backstage-plugin/);
  }
});
