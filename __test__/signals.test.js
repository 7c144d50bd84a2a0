'use strict';

// Aborted calls: an abort rejects only its own call.

const assert = require('node:assert/strict');
const { getEventListeners } = require('node:events');
const { describe, test } = require('node:test');
const { rejection, start, times, unhandledRejections, until } = require('./support/manager.js');

/** Fulfils when the event loop has run all of its phases. */
const turn = () => new Promise((resolve) => setImmediate(() => setImmediate(resolve)));

describe('signals', { concurrency: true }, () => {
  const aborts = {
    'of its own': AbortSignal.abort(),
    'a string': AbortSignal.abort('why'),
    'an error': AbortSignal.abort(new RangeError('why')),
  };

  test('an aborted signal rejects with its reason, even on a hit, and causes no request', async (t) => {
    const { endpoint, manager } = await start(t);
    for (const held of [false, true]) {
      if (held) await manager.getToken();
      for (const [name, signal] of Object.entries(aborts)) {
        for (const options of [{ signal }, { signal, forceRefresh: true }]) {
          for (const method of ['getToken', 'getAccessToken']) {
            const reason = await manager[method](options).catch((caught) => caught);
            assert.equal(reason, signal.reason, `${method}, ${name}`);
          }
        }
      }
    }
    assert.equal(endpoint.requestCount, 1);
  });

  test('a signal has one listener while its callers wait, and none on a hit', async (t) => {
    const { endpoint, manager } = await start(t);
    const { signal } = new AbortController();
    const listeners = () => getEventListeners(signal, 'abort').length;
    endpoint.pause();
    const waiting = times(30, () => manager.getToken({ signal }));
    assert.equal(listeners(), 1, 'one for all callers that share it');
    endpoint.resume();
    await Promise.all(waiting);
    assert.equal(listeners(), 0);
    const hits = times(3, () => manager.getToken({ signal }));
    assert.equal(listeners(), 0);
    await Promise.all(hits);
    endpoint.answerNext({ status: 400, body: { error: 'invalid_scope' } });
    const failing = manager.getToken({ signal, forceRefresh: true });
    assert.equal(listeners(), 1);
    await rejection(failing, 'ERR_KEYCLOAK_OAUTH');
    assert.equal(listeners(), 0);
  });

  test('many managers that wait with one signal cause no warning', async (t) => {
    const warnings = [];
    const onWarning = (warning) => warnings.push(warning);
    process.on('warning', onWarning);
    t.after(() => process.off('warning', onWarning));
    const controller = new AbortController();
    const { signal } = controller;
    const started = await Promise.all(times(12, () => start(t)));
    for (const { endpoint } of started) endpoint.pause();
    const waiting = started.map(({ manager }) => manager.getToken({ signal }));
    assert.equal(getEventListeners(signal, 'abort').length, 1);
    started[0].endpoint.resume();
    await waiting[0];
    controller.abort('why');
    const reasons = await Promise.allSettled(waiting.slice(1));
    assert.deepEqual(new Set(reasons.map(({ reason }) => reason)), new Set(['why']));
    assert.equal(getEventListeners(signal, 'abort').length, 0);
    await turn();
    assert.deepEqual(warnings, []);
  });

  test('an abort rejects only the call of its signal', async (t) => {
    const { endpoint, manager } = await start(t);
    endpoint.pause();
    const controller = new AbortController();
    const { signal } = new AbortController();
    const plain = manager.getToken();
    const aborted = manager.getToken({ signal: controller.signal });
    const other = manager.getAccessToken({ signal });
    controller.abort('why');
    assert.equal(await aborted.catch((reason) => reason), 'why');
    assert.equal(getEventListeners(controller.signal, 'abort').length, 0);
    endpoint.resume();
    assert.equal((await other).token, await plain);
    assert.equal(endpoint.requestCount, 1);
  });

  for (const [name, answer, state] of [
    ['succeeds keeps its token', {}, 'fresh'],
    ['fails rejects nothing', { status: 400, body: { error: 'invalid_scope' } }, 'failing'],
  ]) {
    test(`a flight that all its callers have left and that ${name}`, async (t) => {
      const reasons = unhandledRejections(t);
      const { endpoint, manager } = await start(t);
      endpoint.pause();
      endpoint.setAnswer(answer);
      const controller = new AbortController();
      const options = { signal: controller.signal };
      const left = [...times(3, () => manager.getToken(options)), manager.getAccessToken(options)];
      await endpoint.waitForRequests(1);
      controller.abort('why');
      const outcomes = await Promise.allSettled(left);
      assert.deepEqual(new Set(outcomes.map(({ reason }) => reason)), new Set(['why']));
      endpoint.resume();
      await until(() => manager.snapshot().state === state, 'the flight has ended');
      await turn();
      assert.deepEqual(reasons, []);
      assert.equal(endpoint.requestCount, 1);
    });
  }
});
