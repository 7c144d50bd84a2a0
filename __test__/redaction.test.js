'use strict';

// A manager, its log and its heap show no secret and no token. `redaction-property.test.js` plants
// both into everything that a server or a file controls.

const assert = require('node:assert/strict');
const { randomBytes } = require('node:crypto');
const { describe, test } = require('node:test');
const { inspect } = require('node:util');
const { run } = require('./programs');
const { makeFile } = require('./support/files.js');
const { rejection, start, tokenResponse } = require('./support/manager.js');

/** Heap snapshots take a long time. */
const LIMIT_MS = 120_000;

/** Every way to show a value. */
function seen(value) {
  return [
    String(value),
    `${value?.stack}`,
    `${JSON.stringify(value)}`,
    inspect(value, { depth: Number.POSITIVE_INFINITY, showHidden: true, getters: true }),
    ...Object.values(value ?? {}).map(String),
  ];
}

describe('the secret and the token', { concurrency: true }, () => {
  test('are in no manager, snapshot, log line or error', async (t) => {
    const { endpoint, manager, lines } = await start(t);
    const token = await manager.getToken();
    await manager.getAccessToken();
    endpoint.setAnswer({ status: 400, body: { error: 'invalid_grant', error_description: token } });
    const error = await rejection(manager.getToken({ forceRefresh: true }), 'ERR_KEYCLOAK_OAUTH');
    const shown = [manager, manager.snapshot(), error, ...lines].flatMap(seen);
    await manager.close();
    assert.ok(lines.length > 0);
    for (const text of [...shown, ...[manager, manager.snapshot()].flatMap(seen)]) {
      assert.ok(!text.includes('test-secret'), text);
      assert.ok(!text.includes(token.slice(0, 40)), text);
    }
  });

  for (const source of ['string', 'function', 'file', 'basic']) {
    test(`are not in the JavaScript heap, except for a cached token (secret from ${source})`, async (t) => {
      const [secret, token] = [1, 2].map((n) => `canary${n}${randomBytes(24).toString('hex')}`);
      const { endpoint } = await start(t);
      // If the tokens were equal, the manager would keep the first one's lifetime.
      endpoint.answerNext({ body: tokenResponse(`${token}1`, 300) });
      endpoint.setAnswer({ body: tokenResponse(`${token}2`, 1) });
      const args = [endpoint.tokenEndpoint, source, makeFile(t, secret)];
      const program = run(t, 'heap.js', args, { execArgv: ['--expose-gc'], limitMs: LIMIT_MS });
      program.goOn(`${secret}${token}`);
      const { held, control, length, ...others } = await program.result();
      assert.ok(length > 0 && control.secret > 0, 'a held secret is found');
      assert.ok(held.token > 0, 'a cached token is found');
      assert.equal(held.secret, 0);
      for (const [when, counts] of Object.entries(others)) {
        assert.deepEqual(counts, { secret: 0, token: 0 }, when);
      }
    });
  }
});
