'use strict';

// Replaces a credential on disk and at the server about half a second apart, in either order, under
// load and with short-lived tokens. No call may fail.

const assert = require('node:assert/strict');
const { generateKeyPairSync } = require('node:crypto');
const fs = require('node:fs');
const path = require('node:path');
const { describe, test } = require('node:test');
const { makeCertificates } = require('../tools/certificates.js');
const { delay, rejection, times, until } = require('./support/manager.js');
const { BEARER, startVerifying } = require('./support/verifying-endpoint.js');

const LIFE_S = 3;
const CALLS_PER_SECOND = 100;
const ROUNDS = 3;
/** A refresh is due 1.36 s to 1.5 s after the last one, and so between the two replacements. */
const FIRST_AFTER_MS = 1_200;
const SECOND_AFTER_MS = 450;

const pem = ({ privateKey }) => privateKey.export({ type: 'pkcs8', format: 'pem' });

const certificates = makeCertificates();

/**
 * The credentials. `next(number)` makes a new one: its `files`, keyed by the options, and the
 * credential that the server then `believes`.
 */
const CREDENTIALS = [
  {
    name: 'a secret',
    next: (number) => ({
      files: { clientSecretFile: `secret-${number}` },
      believes: { secret: `secret-${number}` },
    }),
  },
  {
    name: 'a key',
    next: () => {
      const pair = generateKeyPairSync('ec', { namedCurve: 'P-256' });
      return {
        files: { privateKeyFile: pem(pair) },
        believes: { algorithm: 'ES256', key: pair.publicKey },
      };
    },
  },
  {
    name: 'a certificate and its key',
    isCertificate: true,
    next: (number) => {
      const { cert, key } = certificates.client(`agent-${number}`);
      return {
        files: { clientCertificateFile: cert, clientKeyFile: key },
        believes: { subject: `agent-${number}` },
      };
    },
  },
  {
    name: 'an assertion',
    next: (number) => ({
      files: { clientAssertionFile: `eyJ.assertion.${number}` },
      believes: { assertion: { text: `eyJ.assertion.${number}`, type: BEARER } },
    }),
  },
];

/** Replaces all files in one step, as Kubernetes updates a mounted secret; returns their paths. */
function mount(folder, number, files) {
  const version = path.join(folder, `version-${number}`);
  fs.mkdirSync(version);
  for (const [name, text] of Object.entries(files)) {
    fs.writeFileSync(path.join(version, name), text);
  }
  const link = path.join(folder, 'next');
  fs.symlinkSync(version, link);
  fs.renameSync(link, path.join(folder, 'current'));
  return Object.fromEntries(
    Object.keys(files).map((name) => [name, path.join(folder, 'current', name)]),
  );
}

/** Makes calls at a constant rate until `stop()`, which returns the failures. */
function startLoad(manager) {
  const failures = [];
  const calls = [];
  const started = performance.now();
  const timer = setInterval(() => {
    const due = ((performance.now() - started) / 1000) * CALLS_PER_SECOND;
    while (calls.length < due) {
      calls.push(manager.getToken().catch((error) => failures.push(error)));
    }
  }, 1000 / CALLS_PER_SECOND);
  return {
    stop: async () => {
      clearInterval(timer);
      await Promise.all(calls);
      return { failures, count: calls.length };
    },
  };
}

describe('a credential that is replaced under load', { concurrency: true }, () => {
  for (const { name, next, isCertificate } of CREDENTIALS) {
    for (const order of ['on disk first', 'at the server first']) {
      test(`${name}, ${order}, fails no call`, async (t) => {
        const folder = fs.mkdtempSync(path.join(certificates.directory, 'rotation-'));
        // The test makes all credentials before it starts the load: openssl blocks this thread.
        const [first, ...others] = times(ROUNDS + 1, next);
        const { server, ca } = certificates;
        const tls = { ...server, ca: ca.cert, requestCert: true, rejectUnauthorized: true };
        const { endpoint, manager } = await startVerifying(
          t,
          { believes: first.believes, expiresIn: LIFE_S, tls: isCertificate && tls },
          { ca: ca.cert, ...mount(folder, 0, first.files) },
        );
        await manager.getToken();

        const load = startLoad(manager);
        t.after(() => load.stop());
        let grants = endpoint.grantCount;
        for (const [index, { files, believes }] of others.entries()) {
          const replacements = [
            () => mount(folder, index + 1, files),
            () => {
              endpoint.state.believes = believes;
            },
          ];
          if (order === 'at the server first') replacements.reverse();
          await delay(FIRST_AFTER_MS);
          replacements[0]();
          await delay(SECOND_AFTER_MS);
          replacements[1]();
          // The next round begins with a token that the manager got with the new credential.
          grants = endpoint.grantCount;
          await until(() => endpoint.grantCount > grants, 'the new credential gave a token');
        }
        const { failures, count } = await load.stop();
        const messages = failures.map(({ message }) => message);
        assert.deepEqual(messages, []);
        assert.ok(count >= 4 * CALLS_PER_SECOND, `${count} calls`);
        assert.ok(endpoint.refusalCount > 0, 'a refresh came between the two');
      });
    }
  }
});

describe('a file and a server that differ', { concurrency: true }, () => {
  /** Makes a manager that got a token with the first secret. */
  async function start(t) {
    const folder = fs.mkdtempSync(path.join(certificates.directory, 'rotation-'));
    const put = (secret) => mount(folder, secret, { clientSecretFile: secret });
    const believes = { secret: 'first' };
    const { endpoint, manager } = await startVerifying(t, { believes }, put('first'));
    await manager.getToken();
    endpoint.requests.length = 0;
    const sent = () => endpoint.requests.map(({ form }) => form.client_secret);
    const refresh = () => manager.getToken({ forceRefresh: true });
    return { endpoint, put, sent, refresh };
  }

  test('the manager sends the former credential while the server does not know the new one', async (t) => {
    const { endpoint, put, sent, refresh } = await start(t);
    put('second');
    await refresh();
    assert.deepEqual(sent(), ['second', 'first']);
    endpoint.state.believes = { secret: 'second' };
    await refresh();
    await refresh();
    assert.deepEqual(sent().slice(2), ['second', 'second']);
  });

  test('the manager reads a refused secret again until its file is up to date', async (t) => {
    const { endpoint, put, sent, refresh } = await start(t);
    endpoint.state.believes = { secret: 'second' };
    const call = refresh();
    await until(() => endpoint.refusalCount === 1, 'the server refuses it');
    put('second');
    await call;
    assert.deepEqual(sent(), ['first', 'second']);
  });

  test('two wrong credentials cause an error after one more attempt', async (t) => {
    const { endpoint, put, sent, refresh } = await start(t);
    endpoint.state.believes = { secret: 'third' };
    put('second');
    const error = await rejection(refresh(), 'ERR_KEYCLOAK_OAUTH');
    assert.equal(error.attempts, 2);
    assert.deepEqual(sent(), ['second', 'first']);
  });
});
