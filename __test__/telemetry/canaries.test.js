'use strict';

// Plants a secret, a token and a user's token into every part of an answer. No channel message,
// attribute or metric may show a piece of them. `REDACTION_SEED` repeats a run.

const assert = require('node:assert/strict');
const { randomInt } = require('node:crypto');
const { subscribe, unsubscribe } = require('node:diagnostics_channel');
const net = require('node:net');
const { describe, test } = require('node:test');
const { inspect } = require('node:util');
const { instrument } = require('../../lib/opentelemetry');
const { random } = require('../soak/random.js');
const { Canaries, makeSecret, makeToken, spellingsOf } = require('../support/canaries.js');
const { listen } = require('../support/listen.js');
const { openManager, until } = require('../support/manager.js');
const { echo, FIELDS, makeAnswer } = require('../support/planted-answers.js');
const { startSdk, usePackages } = require('./support.js');

const LIMIT_MS = 60_000;
const CLIENT_ID = 'test-client';
const SEED = Number(process.env.REDACTION_SEED ?? randomInt(2 ** 32));
const CHANNELS = [
  ...['start', 'end', 'asyncStart', 'asyncEnd', 'error'].map(
    (event) => `tracing:keycloak-token-manager:acquisition:${event}`,
  ),
  'keycloak-token-manager:invalidation',
  'keycloak-token-manager:cooldown',
  'keycloak-token-manager:store',
];

describe('telemetry', { timeout: LIMIT_MS }, () => {
  const packages = usePackages();

  test(`shows no secret, no token and no user (REDACTION_SEED=${SEED})`, async (t) => {
    const { next, pick } = random(String(SEED), 'telemetry');
    const [secret, token, user] = [makeSecret(next), makeToken(next), makeToken(next)];
    const canaries = new Canaries();
    canaries.addSecret(secret, CLIENT_ID);
    canaries.add(token);
    canaries.add(user);
    const spellings = [...Object.values(spellingsOf(secret, CLIENT_ID)), token, user];
    const answers = Object.keys(FIELDS).map((field) =>
      makeAnswer(pick([200, 302, 400, 401, 403, 503]), [[field, pick(spellings)]], token),
    );
    answers.push(echo, makeAnswer(200, [], token));

    const server = net.createServer((socket) => {
      let request = '';
      socket.setEncoding('latin1').on('data', (text) => {
        request += text;
        const end = request.indexOf('\r\n\r\n');
        const length = Number(/content-length: (\d+)/i.exec(request)?.[1]);
        if (end === -1 || request.length < end + 4 + length) return;
        const answer = answers[Number(/^POST \/(\d+)/.exec(request)[1])];
        socket.end(typeof answer === 'function' ? answer(Buffer.from(request, 'latin1')) : answer);
      });
    });
    const { url } = await listen(t, server);

    const shown = [];
    const note = (message) => shown.push(inspect(message, { depth: 9, showHidden: true }));
    for (const name of CHANNELS) {
      subscribe(name, note);
      t.after(() => unsubscribe(name, note));
    }
    const sdk = startSdk(t, packages);
    const failing = () => {
      throw new Error(`no secret ${secret}`, { cause: new Error(token) });
    };
    const calls = answers.flatMap((_answer, index) =>
      [secret, index === 0 ? failing : () => secret].map(async (clientSecret) => {
        const options = { clientId: CLIENT_ID, clientSecret, headers: { 'x-api-key': token } };
        const tokenEndpoint = `${url}/${index}`;
        const manager = openManager(t, { tokenEndpoint, ...options, requestTimeoutMs: 2_000 });
        instrument(manager, sdk.pick);
        for (const caller of [manager, manager.onBehalfOf(user)]) {
          const got = await caller.getToken().catch(() => undefined);
          if (got !== undefined) caller.invalidateToken(got, `users/${user}`);
        }
        manager.invalidateToken(token);
      }),
    );
    await Promise.all(calls);
    await until(() => sdk.spans().length >= answers.length * 2, 'the spans end');
    for (const span of sdk.spans()) {
      const { name, attributes, events, links, status } = span;
      shown.push(inspect({ name, attributes, events, links, status }, { depth: 9 }));
    }
    shown.push(await sdk.print());
    assert.ok(shown.length > answers.length * 10, `${shown.length} texts`);
    for (const text of shown) assert.equal(canaries.find(text), undefined, text);
    // This proves that the search finds a piece.
    assert.notEqual(canaries.find(`x${user.slice(10, 40)}x`), undefined);
  });
});
