'use strict';

// Plants a secret and a token, in every spelling, into everything that a server or a file controls.
// The manager must show no piece of either. `REDACTION_SEED` repeats a run.

const assert = require('node:assert/strict');
const { randomInt } = require('node:crypto');
const net = require('node:net');
const { it } = require('node:test');
const tls = require('node:tls');
const { Canaries, makeSecret, makeToken, spellingsOf } = require('./support/canaries.js');
const { makeFile } = require('./support/files.js');
const { random } = require('./soak/random.js');
const { makeCertificates } = require('../tools/certificates.js');
const { run } = require('./programs');
const { listen } = require('./support/listen.js');
const { times } = require('./support/manager.js');
const { echo, FIELDS, makeAnswer } = require('./support/planted-answers.js');

const LIMIT_MS = 120_000;
const RANDOM_CASES = 250;
const CLIENT_ID = 'test-client';
const SEED = Number(process.env.REDACTION_SEED ?? randomInt(2 ** 32));

const { next, pick } = random(String(SEED), 'redaction');

const secret = makeSecret(next);
const token = makeToken(next);
const spellings = {
  ...spellingsOf(secret, CLIENT_ID),
  'in a form': `client_id=x&client_secret=${spellingsOf(secret, CLIENT_ID)['form-encoded']}&a=b`,
  'as a token': token,
  'as a token in a form': `token=${token}&access_token=${token}`,
};
const certificates = makeCertificates();
/** A secret of letters and digits that is also the name of a server. */
const named = `s${Math.floor(next() * 2 ** 48).toString(36)}x`.padEnd(24, '7');

const canaries = new Canaries();
canaries.addSecret(secret, CLIENT_ID);
canaries.addSecret(named, CLIENT_ID);
canaries.add(token);
canaries.add(certificates.server.key.replace(/-----[^-]*-----|\s/g, ''));

const sources = {
  string: () => ({ options: { clientSecret: secret } }),
  function: () => ({ options: {}, secretFunction: secret }),
  file: (file) => ({ options: { clientSecretFile: file(secret) } }),
};
const methods = ['client_secret_post', 'client_secret_basic'];

/** Every field with every spelling once, then random cases, and answers that echo the request. */
function answerCases(file) {
  const cases = [];
  const add = (statuses, planted, more = {}) => {
    const answers = statuses.map((status) => makeAnswer(status, planted, token));
    const source = sources[pick(Object.keys(sources))](file);
    source.options.clientAuthentication = pick(methods);
    const name = `${statuses} ${planted.map(([field]) => field)}`;
    cases.push({ name, answers, planted, ...source, ...more });
  };
  for (const field of Object.keys(FIELDS)) {
    for (const value of Object.values(spellings))
      add([pick([200, 302, 400, 404])], [[field, value]]);
  }
  const noise = ['', ' ', '"', "'", '\\', '%', 'client_secret=', 'eyJ', 'x'.repeat(280), 'é'];
  for (let number = 0; number < RANDOM_CASES; number += 1) {
    const planted = times(pick([1, 2, 3, 4]), () => [
      pick(Object.keys(FIELDS)),
      `${pick(noise)}${pick(Object.values(spellings))}${pick(noise)}`,
    ]);
    const statuses = pick([[200, 401], [401], [403], [405], [429], [503], [201], [307], [999]]);
    add(statuses, planted, { acquisitions: statuses.length });
  }
  for (const [name, source] of Object.entries(sources)) {
    for (const clientAuthentication of methods) {
      const one = source(file);
      one.options.clientAuthentication = clientAuthentication;
      cases.push({ name: `echo to ${name}`, answers: [echo], ...one });
    }
  }
  return cases;
}

/** Files that contain the secret in a wrong form. */
function fileCases(file) {
  const filler = 'x'.repeat(2 ** 20);
  const contents = {
    'a NUL': `${secret}\0`,
    'a line break before it': `\n${secret}`,
    'a line break in it': `${secret}\n${secret}`,
    'two line breaks': `${secret}\r\n\r\n`,
    'a byte order mark': `\ufeff${secret}`,
    'one megabyte behind it': secret + filler,
    'one megabyte before it': filler + secret,
    'invalid UTF-8': Buffer.concat([Buffer.from(secret), Buffer.of(0xc3, 0x28, 0xff)]),
    UTF16: Buffer.from(secret, 'utf16le'),
    'a shell line': `export CLIENT_SECRET="${secret}"`,
  };
  return Object.entries(contents).map(([name, content]) => ({
    name: `a secret file with ${name}`,
    answers: [echo],
    options: { clientSecretFile: file(content) },
  }));
}

/** Wrong options with a secret or a key; `options.test.js` has the other wrong options. */
function optionCases(file) {
  const { key, cert } = certificates.server;
  const query = `?k=${encodeURIComponent(secret)}`;
  return [
    ['a key for ca', { ca: key }],
    ['a certificate and its key for ca', { ca: key + cert }],
    ['a certificate and its key in caFile', { caFile: file(key + cert) }],
    ['a corrupted key in caFile', { caFile: file(key.replace('END', `${secret}\nEND`)) }],
    ['bytes in caFile', { caFile: file(Buffer.from(`${secret}\xff\0`, 'latin1')) }],
    ['a key in clientSecretFile', { clientSecret: undefined, clientSecretFile: file(key) }],
    ['a query in the URL', { query }],
    ['a parameter in the request', { parameters: { a: secret } }],
    ['a base URL', { resource: { baseUrl: `https://${token}@h/`, userHeader: secret } }],
    ['a minimum', {}, { minValiditySeconds: secret }],
  ].map(([name, options, callOptions]) => ({
    name: `options with ${name}`,
    answers: [echo],
    options: { clientSecret: secret, ...options },
    callOptions,
  }));
}

/** Reads a request, whose path names its case, and answers it. */
function serveCases(cases) {
  const counts = new Map();
  return (socket) => {
    let request = Buffer.alloc(0);
    socket.on('data', (bytes) => {
      request = Buffer.concat([request, bytes]);
      const end = request.indexOf('\r\n\r\n');
      if (end === -1) return;
      const head = request.subarray(0, end).toString('latin1');
      const length = Number(/content-length: (\d+)/i.exec(head)[1]);
      if (request.length < end + 4 + length) return;
      const index = Number(/^POST \/(\d+)/.exec(head)[1]);
      const count = counts.get(index) ?? 0;
      counts.set(index, count + 1);
      const { answers } = cases[index];
      const answer = answers[Math.min(count, answers.length - 1)];
      socket.end(typeof answer === 'function' ? answer(request) : answer);
      request = Buffer.alloc(0);
    });
  };
}

it('the manager shows and prints no piece of a secret or a token', {
  timeout: LIMIT_MS,
}, async (t) => {
  const file = (content) => makeFile(t, content);
  const cases = [...answerCases(file), ...fileCases(file), ...optionCases(file)];
  const server = await listen(t, net.createServer(serveCases(cases)));
  for (const [index, one] of cases.entries()) {
    const { query = '', ...options } = one.options;
    one.options = { tokenEndpoint: `${server.url}/${index}${query}`, ...options };
  }
  // A server whose name is a secret, with an untrusted and with a trusted authority.
  const { key, cert } = certificates.named(named);
  const secure = await listen(
    t,
    tls.createServer({ key, cert }).on('tlsClientError', () => {}),
  );
  const untrusted = { tokenEndpoint: `https://${secure.address}/`, clientSecret: named };
  cases.push({ name: 'a certificate', options: untrusted });
  cases.push({ name: 'a trusted one', options: { ...untrusted, ca: certificates.ca.cert } });

  t.diagnostic(`REDACTION_SEED=${SEED}, ${cases.length} cases`);
  const common = { clientId: CLIENT_ID, requestTimeoutMs: 5_000 };
  const sent = cases.map(({ answers: _answers, planted: _planted, ...one }) => ({
    ...one,
    options: { ...common, ...one.options },
  }));
  const program = run(t, 'redaction.js', [file(JSON.stringify(sent))], { limitMs: LIMIT_MS });
  const { code, printed, errors } = await program.ended();
  assert.equal(code, 0, errors);
  assert.equal(errors, '', 'on the standard error');
  assert.equal(printed.length, cases.length);

  const counts = {};
  for (const { index, shown, outcomes } of printed) {
    for (const outcome of outcomes) counts[outcome] = (counts[outcome] ?? 0) + 1;
    for (const text of shown) {
      assert.equal(canaries.find(text), undefined, `${cases[index].name}: ${text}`);
    }
  }
  t.diagnostic(JSON.stringify(counts));
  const codes = 'OAUTH HTTP PROTOCOL NETWORK CREDENTIAL CONFIG REQUEST TLS'.split(' ');
  for (const kind of ['token', ...codes.map((code) => `ERR_KEYCLOAK_${code}`)]) {
    assert.ok(counts[kind] > 0, `no case ended with ${kind}`);
  }

  // The test recognises every planted value, and nothing else.
  const planted = cases.flatMap((one) => one.planted ?? []).map(([, value]) => value);
  for (const value of [...planted, ...Object.values(spellings)]) assert.ok(canaries.find(value));
  const harmless = `${CLIENT_ID} Invalid client or Invalid client credentials`;
  assert.equal(canaries.find(harmless), undefined);
});
