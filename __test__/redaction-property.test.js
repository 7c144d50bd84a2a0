'use strict';

// A secret and a token, planted in every spelling into everything that a server or a file controls:
// no piece of them may be shown. `REDACTION_SEED` repeats a run.

const assert = require('node:assert/strict');
const { fork } = require('node:child_process');
const { randomInt } = require('node:crypto');
const { once } = require('node:events');
const fs = require('node:fs');
const os = require('node:os');
const path = require('node:path');
const { after, before, describe, it } = require('node:test');
const tls = require('node:tls');
const { Canaries, makeSecret, makeToken, spellingsOf } = require('./support/canaries.js');
const { random: randomFrom } = require('./soak/random.js');
const { makeCertificates } = require('../tools/certificates.js');
const { startRawServer } = require('./support/fault-server.js');
const { listen } = require('./support/listen.js');
const { echo, FIELDS, makeAnswer } = require('./support/planted-answers.js');

const LIMIT_MS = 120_000;
const RANDOM_CASES = 250;
const CLIENT_ID = 'test-client';
const SEED = Number(process.env.REDACTION_SEED ?? randomInt(2 ** 32));

const { next: random } = randomFrom(String(SEED), 'redaction');
const below = (limit) => Math.floor(random() * limit);
const pick = (list) => list[below(list.length)];

const secret = makeSecret(random);
const token = makeToken(random);
const spellings = {
  ...spellingsOf(secret, CLIENT_ID),
  'in a form': `client_id=x&client_secret=${spellingsOf(secret, CLIENT_ID)['form-encoded']}&a=b`,
  'as a token': token,
  'as a token in a form': `token=${token}&access_token=${token}`,
};
const canaries = new Canaries();
canaries.addSecret(secret, CLIENT_ID);
canaries.add(token);

const sources = {
  string: () => ({ options: { clientSecret: secret } }),
  function: () => ({ options: {}, secretFunction: secret }),
  file: (place) => ({ options: { clientSecretFile: place.file(secret) } }),
};

/** Every field with every spelling once, then as many made by chance. */
function answerCases(place) {
  const cases = [];
  const add = (statuses, planted, more = {}) => {
    const answers = statuses.map((status) => makeAnswer(status, planted, token));
    const source = sources[pick(Object.keys(sources))](place);
    source.options.clientAuthentication = pick(['client_secret_post', 'client_secret_basic']);
    const name = `${statuses} ${planted.map(([field]) => field)}`;
    cases.push({ name, answers, planted, ...source, ...more });
  };
  for (const field of Object.keys(FIELDS)) {
    for (const value of Object.values(spellings))
      add([pick([200, 302, 400, 404])], [[field, value]]);
  }
  const noise = ['', ' ', '"', "'", '\\', '%', 'client_secret=', 'eyJ', 'x'.repeat(280), 'é'];
  for (let number = 0; number < RANDOM_CASES; number += 1) {
    const planted = Array.from({ length: 1 + below(4) }, () => [
      pick(Object.keys(FIELDS)),
      `${pick(noise)}${pick(Object.values(spellings))}${pick(noise)}`,
    ]);
    const statuses = pick([[200, 401], [401], [403], [405], [429], [503], [201], [307], [999]]);
    add(statuses, planted, { acquisitions: statuses.length });
  }
  for (const source of Object.keys(sources)) {
    for (const clientAuthentication of ['client_secret_post', 'client_secret_basic']) {
      const one = sources[source](place);
      one.options.clientAuthentication = clientAuthentication;
      cases.push({ name: `echo to ${source}`, answers: [echo], ...one });
    }
  }
  return cases;
}

/** Files that contain the secret in a wrong form. */
function fileCases(place) {
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
    options: { clientSecretFile: place.file(content) },
  }));
}

/** Wrong options with a secret or a key; `options.test.js` has the others. */
function optionCases(place) {
  const { key, cert } = place.certificates.server;
  const base = { clientSecret: secret };
  const query = `?k=${encodeURIComponent(secret)}`;
  return [
    ['a key for ca', { ca: key }],
    ['a certificate and its key for ca', { ca: key + cert }],
    ['a certificate and its key in caFile', { caFile: place.file(key + cert) }],
    ['a spoilt key in caFile', { caFile: place.file(key.replace('END', `${secret}\nEND`)) }],
    ['bytes in caFile', { caFile: place.file(Buffer.from(`${secret}\xff\0`, 'latin1')) }],
    ['a key in clientSecretFile', { clientSecret: undefined, clientSecretFile: place.file(key) }],
    ['a query in the URL', { query }],
    ['a parameter in the request', { parameters: { a: secret } }],
    ['a base URL', { resource: { baseUrl: `https://${token}@h/`, userHeader: secret } }],
    ['a minimum', {}, { minValiditySeconds: secret }],
  ].map(([name, options, callOptions]) => ({
    name: `options with ${name}`,
    answers: [echo],
    options: { ...base, ...options },
    callOptions,
  }));
}

/** A server whose name is a secret, of letters and digits. */
function startNamedServer(place) {
  const name = `s${Math.floor(random() * 2 ** 48).toString(36)}x`.padEnd(24, '7');
  canaries.addSecret(name, CLIENT_ID);
  const { key, cert } = place.certificates.named(name);
  const server = tls.createServer({ key, cert });
  server.on('tlsClientError', () => {});
  return { name, server };
}

/** The same server with an untrusted and with a trusted authority. */
function certificateCases({ name }, { certificates }) {
  const ca = certificates.ca.cert;
  return [
    { name: 'a certificate', isSecure: true, options: { clientSecret: name } },
    { name: 'a trusted certificate', isSecure: true, options: { clientSecret: name, ca } },
  ];
}

/** The files of the cases. */
function makePlace() {
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'redaction-property-'));
  const certificates = makeCertificates();
  let count = 0;
  return {
    certificates,
    file(content) {
      count += 1;
      const name = path.join(folder, `file-${count}`);
      fs.writeFileSync(name, content);
      return name;
    },
    remove: () => fs.rmSync(folder, { recursive: true }),
  };
}

/** Reads a request, which names its case in its path, and answers it. */
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

/** Plays the cases in a separate process: what each showed, and what the process printed. */
async function play(cases) {
  const child = fork(path.join(__dirname, 'support', 'redaction-child.js'), [], {
    execArgv: [],
    silent: true,
    timeout: LIMIT_MS,
    killSignal: 'SIGKILL',
  });
  let printed = '';
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding('utf8').on('data', (text) => {
      printed += text;
    });
  }
  const results = [];
  child.on('message', ({ index, shown, outcomes }) => {
    results[index] = { shown, outcomes };
  });
  const closed = once(child, 'close');
  child.send(cases.map(({ answers: _answers, ...one }) => one));
  const [code, signal] = await closed;
  assert.equal(code, 0, `ended with ${signal ?? code}: ${printed}`);
  return { results, printed };
}

describe('no piece of a secret or a token is shown', { timeout: LIMIT_MS }, () => {
  let place;
  let server;
  let secure;
  let cases;
  let played;

  before(async () => {
    place = makePlace();
    const named = startNamedServer(place);
    canaries.add(place.certificates.server.key.replace(/-----[^-]*-----|\s/g, ''));
    cases = [
      ...answerCases(place),
      ...fileCases(place),
      ...optionCases(place),
      ...certificateCases(named, place),
    ];
    server = await startRawServer(undefined, serveCases(cases));
    secure = await listen(undefined, named.server);
    for (const [index, one] of cases.entries()) {
      const { query = '', ...options } = one.options;
      const url = one.isSecure ? `https://${secure.address}/` : `${server.url}/${index}`;
      one.options = {
        tokenEndpoint: url + query,
        clientId: CLIENT_ID,
        requestTimeoutMs: 5_000,
        ...options,
      };
    }
    played = await play(cases);
  });

  after(async () => {
    await secure?.stop();
    await server?.stop();
    place?.remove();
  });

  it('in an error, a log line or a manager', (t) => {
    t.diagnostic(`REDACTION_SEED=${SEED}, ${cases.length} cases`);
    const counts = {};
    for (const [index, { name }] of cases.entries()) {
      const { shown, outcomes } = played.results[index];
      for (const outcome of outcomes) counts[outcome] = (counts[outcome] ?? 0) + 1;
      for (const text of shown) {
        const found = canaries.find(text);
        assert.equal(found, undefined, `${name} (REDACTION_SEED=${SEED}): ${text}`);
      }
    }
    t.diagnostic(JSON.stringify(counts));
    const codes = 'OAUTH HTTP PROTOCOL NETWORK CREDENTIAL CONFIG REQUEST TLS'.split(' ');
    for (const kind of ['token', ...codes.map((code) => `ERR_KEYCLOAK_${code}`)]) {
      assert.ok(counts[kind] > 0, `no case ended with ${kind}`);
    }
  });

  it('on the standard output and error', () => {
    assert.equal(canaries.find(played.printed), undefined, played.printed);
  });

  it('and the test recognises every planted value', () => {
    for (const { name, planted } of cases) {
      for (const [field, value] of planted ?? [])
        assert.ok(canaries.find(value), `${name} ${field}`);
    }
    for (const spelling of Object.values(spellings)) assert.ok(canaries.find(`<${spelling}>`));
    assert.equal(
      canaries.find(`${CLIENT_ID} Invalid client or Invalid client credentials`),
      undefined,
    );
  });
});
