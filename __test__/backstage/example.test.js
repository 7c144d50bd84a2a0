'use strict';

/** The example with the embedded endpoint, and its API's responses to invalid tokens. */

const assert = require('node:assert/strict');
const { execFile } = require('node:child_process');
const path = require('node:path');
const { test } = require('node:test');
const { promisify } = require('node:util');
const { startAgentsApi } = require('../../examples/backstage-plugin/apis.js');
const { missingServers } = require('../../tools/cache-servers.js');
const { startEndpoint } = require('../support/manager.js');
const { INSTALL_TIMEOUT_MS } = require('./support.js');

const run = promisify(execFile);
const program = path.join(__dirname, '..', '..', 'examples', 'backstage-plugin', 'run.js');

test('the example serves only a signed-in user', {
  timeout: INSTALL_TIMEOUT_MS,
}, async () => {
  const { stdout } = await run(process.execPath, [program, '--embedded', '--once']);
  assert.match(stdout, /^200 \{"items":\[\{"name":"weather"/m);
  const refusals = [...stdout.matchAll(/^401 .*"message":"(.*?)"/gm)];
  assert.deepEqual(
    refusals.map(([, message]) => message),
    ['Missing credentials', 'the header x-keycloak-token is missing', 'sign in to Keycloak again'],
  );
  const seenBy = (api) => JSON.parse(new RegExp(`^the ${api} API saw (.*)$`, 'm').exec(stdout)[1]);
  const call = { method: 'GET', status: 200, azp: 'kagenti-api' };
  const [{ sub: service, ...asService }, ...others] = seenBy('agents');
  assert.deepEqual(asService, { ...call, user: 'user:default/jane', aud: 'account' });
  assert.notEqual(service, 'jane');
  assert.deepEqual(others, []);
  assert.deepEqual(seenBy('runs'), [{ ...call, sub: 'jane', aud: 'runs-api' }]);
});

test('three backends of the example share a token through Valkey', {
  skip: process.env.CI ? undefined : missingServers(),
  timeout: INSTALL_TIMEOUT_MS,
}, async () => {
  const args = ['--embedded', '--once', '--replicas', '3'];
  const { stdout } = await run(process.execPath, [program, ...args]);
  assert.equal(stdout.match(/^http:\S+: 200$/gm).length, 3, stdout);
  assert.match(stdout, /^3 backends have used 1 token$/m);
});

test("the example's API verifies tokens", async (t) => {
  const endpoint = await startEndpoint(t, { roles: ['kagenti-viewer'] });
  const start = async () => {
    const api = await startAgentsApi(endpoint.jwksUri);
    t.after(() => api.close());
    return api;
  };
  let api = await start();
  const ask = async (token, method = 'GET') => {
    const headers = token === undefined ? {} : { authorization: `Bearer ${token}` };
    const body = method === 'POST' ? '{"name":"travel"}' : undefined;
    const response = await fetch(`${api.url}/api/v1/agents`, { method, headers, body });
    return { status: response.status, detail: (await response.json()).detail };
  };

  const expired = 'Invalid token: Signature has expired.';
  const now = Math.floor(Date.now() / 1000);
  const [header, , signature] = endpoint.issueToken().split('.');
  const [, payload] = endpoint.issueToken({ sub: 'another' }).split('.');
  const claimed = (fields) => {
    const encoded = Buffer.from(JSON.stringify(fields)).toString('base64url');
    return [encoded, payload, signature].join('.');
  };
  for (const [token, detail] of [
    [undefined, 'Authentication required'],
    ['nonsense', 'Invalid token: Error decoding token.'],
    [endpoint.issueToken({ exp: now }), expired],
    [endpoint.issueToken({ exp: now - 1 }), expired],
    [claimed({ alg: 'RS256' }), 'Token missing key ID'],
    [claimed({ alg: 'RS256', kid: 'unknown' }), 'Token signing key not found'],
    [claimed({ alg: 'none', kid: 'x' }), 'Invalid token: The specified alg value is not allowed'],
    [[header, payload, signature].join('.'), 'Invalid token: Signature verification failed.'],
  ]) {
    assert.deepEqual(await ask(token), { status: 401, detail });
  }

  const viewer = endpoint.issueToken();
  assert.equal((await ask(viewer)).status, 200);
  const detail = 'Required role(s): kagenti-operator';
  assert.deepEqual(await ask(viewer, 'POST'), { status: 403, detail });
  const operator = endpoint.issueToken({ realm_access: { roles: ['kagenti-operator'] } });
  assert.equal((await ask(operator, 'POST')).status, 200);

  api = await start();
  await endpoint.goOffline();
  assert.equal((await ask(viewer)).status, 503, 'the API cannot get the keys');
});
