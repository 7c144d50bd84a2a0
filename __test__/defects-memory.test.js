'use strict';

// As defects.test.js, for memory: in a file of its own, since what is measured is this process. The
// endpoint is therefore in another one, which is this file, forked.

const assert = require('node:assert/strict');
const { fork } = require('node:child_process');
const { once } = require('node:events');
const { test } = require('node:test');

const MEBIBYTE = 2 ** 20;
const BODY_BYTES = 128 * MEBIBYTE;

if (process.argv[2] === 'serve') {
  serve();
} else {
  test(
    'RA-7: a huge body is neither kept in memory nor taken for a token',
    { timeout: 30_000 },
    check,
  );
}

async function serve() {
  const { startFakeTokenEndpoint } = require('../lib/testing/index.js');
  const endpoint = await startFakeTokenEndpoint();
  const answer = `{"access_token":"huge","expires_in":300,"padding":"`;
  endpoint.answerNext({});
  endpoint.setAnswer({ body: `${answer.padEnd(BODY_BYTES - 2, 'x')}"}` });
  process.on('disconnect', () => process.exit());
  process.send(endpoint.tokenEndpoint);
}

async function check(t) {
  const { augment, failure, ours } = require('./support/defects.js');
  const child = fork(__filename, ['serve'], { execArgv: [] });
  t.after(() => child.disconnect());
  const [tokenEndpoint] = await once(child, 'message');
  const grownBy = async (work) => {
    const before = process.memoryUsage.rss();
    await work();
    return (process.memoryUsage.rss() - before) / MEBIBYTE;
  };

  // Ours first: memory that the plain class has let go of would hide what ours takes.
  const manager = ours(t, { tokenEndpoint });
  const token = await manager.getToken();
  const right = await grownBy(async () => {
    const error = await failure(manager.getToken({ forceRefresh: true }));
    assert.equal(error.code, 'ERR_KEYCLOAK_PROTOCOL');
    assert.equal(error.retryable, false);
    assert.equal(error.attempts, 1);
  });
  assert.ok(right < 32, `${right} MiB`);
  assert.equal(await manager.getToken(), token, 'a valid token is left untouched');

  const plain = augment(t, { tokenEndpoint });
  const wrong = await grownBy(async () => assert.equal(await plain.getToken(), 'huge'));
  assert.ok(wrong > BODY_BYTES / MEBIBYTE, `${wrong} MiB`);
}
