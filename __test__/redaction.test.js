'use strict';

// The secret is not shown anywhere.

const assert = require('node:assert/strict');
const { execFile } = require('node:child_process');
const { randomBytes } = require('node:crypto');
const { mkdtemp, rm, writeFile } = require('node:fs/promises');
const { tmpdir } = require('node:os');
const path = require('node:path');
const { describe, test } = require('node:test');
const { inspect, promisify } = require('node:util');
const { recorder, rejection, start } = require('./support/manager.js');

const SECRET = 'test-secret';

describe('nothing shows', { concurrency: true }, () => {
  const canary = 'canary+7f3a/é%=&x';
  const formEncoded = new URLSearchParams([['', canary]]).toString().slice(1);
  const basic = Buffer.from(`test-client:${formEncoded}`).toString('base64');
  const spellings = {
    raw: canary,
    'form-encoded': formEncoded,
    'percent-encoded': encodeURIComponent(canary),
    'in JSON': JSON.stringify(canary),
    'in Base64': basic,
    'in a form': `grant_type=client_credentials&client_secret=${formEncoded}`,
  };

  /** All the ways in which a value comes to be seen. */
  function seen(value) {
    return [
      String(value),
      `${value?.stack}`,
      `${value?.message}`,
      `${JSON.stringify(value)}`,
      inspect(value, { depth: Number.POSITIVE_INFINITY, showHidden: true }),
      ...Object.values(value ?? {}).map(String),
    ];
  }

  function assertHidden(values) {
    for (const text of values.flatMap(seen)) {
      for (const part of [canary, formEncoded, basic, '7f3a']) {
        assert.ok(!text.includes(part), text);
      }
    }
  }

  for (const [name, spelling] of Object.entries(spellings)) {
    test(`the secret that a server repeats ${name}`, async (t) => {
      for (const [answer, code] of [
        [{ status: 401, body: { error: 'invalid_client', error_description: spelling } }, 'OAUTH'],
        [{ status: 400, body: { error: spelling, error_description: 'x' } }, 'OAUTH'],
        [{ status: 404, body: { error: 'x', error_description: `(${spelling})` } }, 'HTTP'],
        [{ status: 403, body: spelling }, 'HTTP'],
        [{ status: 200, body: { error: spelling } }, 'PROTOCOL'],
        [{ status: 302, headers: { Location: `/?${encodeURIComponent(spelling)}` } }, 'PROTOCOL'],
      ]) {
        const { logger, lines } = recorder();
        const options = { clientSecret: canary, logger };
        const { endpoint, open } = await start(t, { clientAuthentication: 'client_secret_basic' });
        const manager = open(options);
        endpoint.setAnswer(answer);
        const error = await rejection(manager.getToken(), `ERR_KEYCLOAK_${code}`);
        assert.equal(lines.length, 1);
        assertHidden([error, manager, manager.snapshot(), ...lines]);
      }
    });
  }

  test('secret or token in a manager, its snapshot and its log', async (t) => {
    const { endpoint, manager, lines } = await start(t);
    const token = await manager.getToken();
    await manager.getAccessToken();
    endpoint.setAnswer({ status: 400, body: { error: 'invalid_grant', error_description: token } });
    const error = await rejection(manager.getToken({ forceRefresh: true }), 'ERR_KEYCLOAK_OAUTH');
    assert.ok(lines.length > 0);
    for (const text of [manager, manager.snapshot(), error, ...lines].flatMap(seen)) {
      assert.ok(!text.includes(SECRET), text);
      assert.ok(!text.includes(token.slice(0, 40)), text);
    }
  });

  for (const source of ['string', 'function', 'file', 'basic']) {
    test(`the secret in the JavaScript heap, given as ${source}`, async (t) => {
      const secret = `canary${randomBytes(24).toString('hex')}`;
      const { endpoint } = await start(t);
      endpoint.setSecret('test-client', secret);
      const folder = await mkdtemp(path.join(tmpdir(), 'redaction-'));
      t.after(() => rm(folder, { recursive: true }));
      const file = path.join(folder, 'secret');
      await writeFile(file, secret);
      const child = path.join(__dirname, 'support', 'heap-child.js');
      const args = ['--expose-gc', child, endpoint.tokenEndpoint, source, file];
      const running = promisify(execFile)(process.execPath, args);
      running.child.stdin.end(secret);
      const { made, used, control } = JSON.parse((await running).stdout);
      assert.equal(endpoint.requests.at(-1)?.status, 200);
      assert.ok(control > 0, 'a secret that is held is found');
      assert.deepEqual({ made, used }, { made: 0, used: 0 });
    });
  }
});
