'use strict';

// Runs the examples in doc comments and the complete examples in the documents, each in a separate
// process, with a fake token endpoint and an API on loopback.

const assert = require('node:assert/strict');
const { execFile } = require('node:child_process');
const { generateKeyPairSync } = require('node:crypto');
const fs = require('node:fs');
const os = require('node:os');
const path = require('node:path');
const { after, before, describe, test } = require('node:test');
const { promisify } = require('node:util');
const ts = require('typescript');
const { startFakeTokenEndpoint } = require('../lib/testing');
const { startApi } = require('./support/api-server.js');
const { jwkOf } = require('./support/jwk.js');
const { GLOBALS, allExamples, needsBackstage } = require('../tools/examples.js');

const root = path.join(__dirname, '..');
const CLIENT = { clientId: 'my-client', clientSecret: 'my-secret' };

/** The names that `tools/example-globals.d.ts` declares, except `manager`. */
const borrowed = Array.from(
  fs.readFileSync(GLOBALS, 'utf8').matchAll(/^declare const (\w+)/gm),
  ([, name]) => name,
).filter((name) => name !== 'manager');

/** Whether the example is complete and imports only this package and the tools for `tokenFetch`. */
function canRun(block) {
  const { code } = block;
  const imported = Array.from(code.matchAll(/from '([^']+)'/g), ([, name]) => name);
  const isHere = (name) =>
    /^(node:.*|keycloak-token-manager(\/testing)?|nock|msw(\/node)?|undici)$/.test(name);
  const isUsed = (name) =>
    new RegExp(`(?<![.'\\w])${name}\\b(?!\\??:)`).test(code) && !code.includes(`const ${name}`);
  return !needsBackstage(block) && imported.every(isHere) && !borrowed.some(isUsed);
}

/**
 * The example as a module, after code that sets a global `manager`, which uses DPoP if the example
 * creates a proof.
 */
function moduleOf({ code }, places) {
  const preamble = `
    const { KeycloakTokenManager: Manager } = await import('keycloak-token-manager');
    globalThis.manager = new Manager({
      issuer: 'https://keycloak.example/realms/my-realm',
      clientId: '${CLIENT.clientId}',
      clientSecret: '${CLIENT.clientSecret}',
      resource: { baseUrl: 'https://api.example/v1' },
      dpop: ${code.includes('dpopProof(')},
    });
  `;
  let text = preamble + code;
  for (const [name, place] of Object.entries(places)) text = text.replaceAll(name, place);
  const { outputText } = ts.transpileModule(text, {
    compilerOptions: { target: ts.ScriptTarget.ES2022, module: ts.ModuleKind.ESNext },
  });
  return outputText;
}

describe('the examples run', { concurrency: 2 }, () => {
  let endpoint;
  let api;
  let folder;
  let places;

  before(async () => {
    const clients = { [CLIENT.clientId]: CLIENT.clientSecret };
    endpoint = await startFakeTokenEndpoint({ realm: 'my-realm', clients });
    api = await startApi(undefined, () => '[]');
    folder = fs.mkdtempSync(path.join(os.tmpdir(), 'keycloak-token-manager-'));
    fs.writeFileSync(path.join(folder, CLIENT.clientId), `${CLIENT.clientSecret}\n`);
    const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
    fs.writeFileSync(path.join(folder, 'key.jwk'), JSON.stringify(jwkOf(privateKey)));
    places = {
      'https://keycloak.example': endpoint.url,
      'https://api.example': api.url,
      'wss://api.example': api.url.replace('http', 'ws'),
      '/run/secrets': folder,
    };
  });

  after(async () => {
    await endpoint.close();
    await api.stop();
    fs.rmSync(folder, { recursive: true, force: true });
  });

  for (const block of allExamples().filter(canRun)) {
    test(`${block.file}:${block.line}`, async () => {
      const args = ['--input-type=module', '--eval', moduleOf(block, places)];
      // An example that hangs must not keep this process alive.
      const options = { cwd: root, timeout: 20_000, killSignal: 'SIGKILL' };
      const { stderr } = await promisify(execFile)(process.execPath, args, options);
      assert.doesNotMatch(stderr, /Warning:/);
    });
  }
});
