'use strict';

/** Edits to the configuration while a backend's plugins call the service. */

const assert = require('node:assert/strict');
const { describe, test } = require('node:test');
const { setImmediate: nextTurn } = require('node:timers/promises');
const { times, until } = require('../support/manager.js');
const { KEY, keeper, nest, startBackend, useWorkspace } = require('./support.js');

const CLIENTS = { 'test-client': 'test-secret', 'other-client': 'other-secret' };
const CALLERS = 8;

/** Starts callers that get tokens in a loop until `stop()`, which rejects if a call failed. */
function load(tokens) {
  const seen = new Set();
  let calls = 0;
  let isOver = false;
  const one = async () => {
    while (!isOver) {
      seen.add(await tokens.getToken());
      calls += 1;
      await nextTurn();
    }
  };
  const callers = Promise.all(times(CALLERS, one));
  return {
    seen,
    /** Resolves when every caller has made several more calls. */
    goesOn() {
      const end = calls + 20 * CALLERS;
      return until(() => calls >= end, 'the callers have called again');
    },
    stop() {
      isOver = true;
      return callers;
    },
  };
}

const clientOf = (token) => JSON.parse(Buffer.from(token.split('.')[1], 'base64url')).azp;

describe('an edit to the configuration', () => {
  const workspace = useWorkspace();

  async function start(t, options) {
    const { keycloakTokenManagerServiceRef } = workspace.require(
      'keycloak-token-manager/backstage',
    );
    const alpha = keeper(workspace, 'alpha', { tokens: keycloakTokenManagerServiceRef });
    const settings = { clients: CLIENTS, ...options };
    const backend = await startBackend(t, workspace, [alpha.plugin], settings);
    const edit = (auth) => backend.edit(nest(KEY, { ...backend.section, ...auth }));
    return { ...backend, edit, editAll: backend.edit, tokens: alpha.services.tokens };
  }

  test('that changes the secret keeps the token and fails no call', async (t) => {
    const { endpoint, edit, tokens, lines } = await start(t);
    const traffic = load(tokens);
    await traffic.goesOn();
    endpoint.setSecret('test-client', 'rotated-secret');
    await edit({ clientSecret: 'rotated-secret' });
    await traffic.goesOn();
    assert.equal(endpoint.requests.length, 1);
    tokens.clearCache();
    await until(() => traffic.seen.size === 2, 'there is a new token');
    await traffic.stop();
    assert.deepEqual(
      endpoint.requests.map(({ status }) => status),
      [200, 200],
    );
    assert.doesNotMatch(JSON.stringify(lines), /test-secret|rotated-secret/);
  });

  test('that changes the client serves the old token until the new one arrives', async (t) => {
    const { endpoint, edit, tokens } = await start(t);
    const traffic = load(tokens);
    await traffic.goesOn();
    endpoint.pause();
    await edit({ clientId: 'other-client', clientSecret: 'other-secret' });
    await traffic.goesOn();
    endpoint.resume();
    await until(() => traffic.seen.size === 2, 'there is a new token');
    await traffic.stop();
    assert.deepEqual([...traffic.seen].map(clientOf), ['test-client', 'other-client']);
    assert.equal(endpoint.requests.length, 2);
  });

  const clientSecret = 'canary-of-a-secret';
  for (const [what, auth, pattern] of [
    ['has a wrong type', { clientId: 7, clientSecret }, /clientId.*got number, wanted string/],
    ['the manager refuses', { tokenEndpoint: 'nonsense' }, /invalid options: tokenEndpoint/],
    ['removes the section', undefined, /the section is missing/],
  ]) {
    test(`that ${what} has no effect except a log line, and a later correct edit takes effect`, async (t) => {
      const { edit, editAll, tokens, lines } = await start(t);
      const token = await tokens.getToken();
      await (auth === undefined ? editAll({ app: { title: 'x' } }) : edit(auth));
      const errors = lines.filter(({ level }) => level === 'error');
      assert.equal(errors.length, 1);
      assert.match(
        errors[0].message,
        /^the manager ignores the change: configuration "boost\.kagenti\.auth"/,
      );
      assert.match(errors[0].message, pattern);
      assert.equal(await tokens.getToken(), token);
      assert.doesNotMatch(JSON.stringify(lines), /canary/);
      await edit({ clientId: 'other-client', clientSecret: 'other-secret' });
      while (clientOf(await tokens.getToken()) !== 'other-client') await nextTurn();
    });
  }

  test('in another section does not end a cool-down', async (t) => {
    const { editAll, section, tokens, endpoint, lines } = await start(t, {
      auth: { clientSecret: 'wrong' },
    });
    await assert.rejects(tokens.getToken(), { code: 'ERR_KEYCLOAK_OAUTH' });
    await editAll({ ...nest(KEY, section), app: { title: 'changed' } });
    await assert.rejects(tokens.getToken(), { code: 'ERR_KEYCLOAK_OAUTH' });
    assert.equal(endpoint.requests.length, 1);
    assert.deepEqual(
      lines.filter(({ message }) => message.includes('uses the changed')),
      [],
    );
    await editAll(nest(KEY, { ...section, clientSecret: 'test-secret' }));
    await tokens.getToken();
    assert.equal(endpoint.requests.length, 2);
  });

  test('after the shutdown has no effect', async (t) => {
    const { edit, stop, lines } = await start(t);
    await stop();
    await edit({ clientId: 7 });
    assert.deepEqual(
      lines.filter(({ message }) => /ignores the change|uses the changed/.test(message)),
      [],
    );
  });
});
