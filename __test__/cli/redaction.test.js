'use strict';

// Plants a secret and the token, in every spelling, into everything that a server, a file or an
// argument controls. No output of a command may contain a piece of either. `REDACTION_SEED` repeats
// a run.

const assert = require('node:assert/strict');
const { randomInt } = require('node:crypto');
const fs = require('node:fs');
const http = require('node:http');
const path = require('node:path');
const { PassThrough } = require('node:stream');
const { text } = require('node:stream/consumers');
const { after, before, describe, test } = require('node:test');
const { main } = require('../../lib/cli/main.js');
const { startFakeTokenEndpoint } = require('../../lib/testing');
const { makeCertificates } = require('../../tools/certificates.js');
const { useWorkspace } = require('../backstage/support.js');
const { random } = require('../soak/random.js');
const { startApi } = require('../support/api-server.js');
const { Canaries, makeSecret, spellingsOf } = require('../support/canaries.js');
const { makeFile } = require('../support/files.js');
const { listen } = require('../support/listen.js');

const CLIENT_ID = 'test-client';
const SEED = Number(process.env.REDACTION_SEED ?? randomInt(2 ** 32));
const { next } = random(String(SEED), 'command line');

const secret = makeSecret(next);
const named = `s${Math.floor(next() * 2 ** 48).toString(36)}x`.padEnd(24, '7');
const canaries = new Canaries();
canaries.addSecret(secret, CLIENT_ID);
canaries.addSecret(named, CLIENT_ID);

const certificates = makeCertificates();
let issuing;
let token;
let spellings;

before(async () => {
  issuing = await startFakeTokenEndpoint();
  token = issuing.issueToken();
  canaries.add(token);
  const own = Object.entries(spellingsOf(secret, CLIENT_ID));
  spellings = { ...Object.fromEntries(own), 'the token': token };
});
after(() => issuing.close());

/** Runs a command and returns its whole output. */
async function output(args, { env = {}, input = '', cwd = process.cwd() } = {}) {
  const streams = {
    stdin: new PassThrough(),
    stdout: new PassThrough(),
    stderr: new PassThrough(),
  };
  streams.stdin.end(input);
  const shown = Promise.all([text(streams.stdout), text(streams.stderr)]);
  const status = await main(args, { ...streams, env, cwd });
  streams.stdout.end();
  streams.stderr.end();
  return { status, shown: (await shown).join('') };
}

/** A header value that a server can send. */
const inHeader = (value) => value.replace(/[^\x20-\x7e]/g, '?');

/** The parts of an answer that a server controls, keyed by name. */
const FIELDS = {
  'a discovery issuer': (value) => ({ document: { issuer: `https://${value}` } }),
  'a discovery endpoint': (value) => ({ document: { token_endpoint: `https://h/${value}` } }),
  'the grants': (value) => ({ document: { grant_types_supported: [value] } }),
  'the methods': (value) => ({ document: { token_endpoint_auth_methods_supported: ['a', value] } }),
  'a redirect during discovery': (value) => ({
    discovery: [302, { Location: inHeader(value) }, value],
  }),
  'an error during discovery': (value) => ({
    discovery: [500, {}, JSON.stringify({ error: value })],
  }),
  'an OAuth error': (value) => ({ answer: [400, {}, JSON.stringify({ error: value })] }),
  'a description': (value) => ({
    answer: [401, {}, JSON.stringify({ error: 'invalid_client', error_description: value })],
  }),
  'a page': (value) => ({ answer: [403, {}, `<p>${value}</p>`] }),
  'the claims': (value) => ({
    claims: { iss: value, aud: [value, 'x'], azp: `x${value}`, scope: value, sub: [value] },
  }),
  'the roles': (value) => ({
    claims: { realm_access: { roles: [value] }, resource_access: { [value]: { roles: ['r'] } } },
  }),
  'a challenge': (value) => ({
    api: [401, { 'WWW-Authenticate': `Bearer x="${inHeader(value)}"` }],
  }),
  'a redirect from the API': (value) => ({ api: [302, { Location: inHeader(value) }] }),
  'a page from the API': (value) => ({ api: [500, {}, value] }),
};

/** A server with these answers: a realm, and an API below `/api`. */
function serve(t, { document, discovery, answer, claims = {}, api = [200, {}] }) {
  return startApi(t, ({ url, method, headers: { host } }) => {
    const issuer = `http://${host}/realms/test`;
    if (url.startsWith('/api')) return [...api, ''].slice(0, 3);
    if (method === 'GET') {
      const own = { issuer, token_endpoint: `${issuer}/protocol/openid-connect/token` };
      return discovery ?? [200, {}, JSON.stringify({ ...own, ...document })];
    }
    // A row without claims grants the planted token.
    const granted = Object.keys(claims).length === 0 ? token : issuing.issueToken(claims);
    return answer ?? [200, {}, JSON.stringify({ access_token: granted, token_type: 'Bearer' })];
  });
}

test('no output shows a piece of a secret or a token', { timeout: 240_000 }, async (t) => {
  t.diagnostic(`REDACTION_SEED=${SEED}`);
  const outputs = [];
  const keep = async (name, ...run) => outputs.push({ name, ...(await output(...run)) });
  const env = { KEYCLOAK_CLIENT_ID: CLIENT_ID, KEYCLOAK_CLIENT_SECRET: secret };

  for (const [field, answers] of Object.entries(FIELDS)) {
    for (const [spelling, value] of Object.entries(spellings)) {
      const { url, stop } = await serve(t, answers(value));
      const endpoint = `${url}/realms/test/protocol/openid-connect/token`;
      const args = ['doctor', '--token-endpoint', endpoint, '--api', `${url}/api`];
      const more = outputs.length % 2 === 0 ? ['--json'] : [];
      await keep(`${spelling} in ${field}`, [...args, ...more], { env });
      await stop();
    }
  }

  const { key, cert } = certificates.named(named);
  const secure = await startApi(t, () => 'x', { tls: { key, cert } });
  const proxy = http.createServer().on('connect', (_, socket) => {
    socket.end(`HTTP/1.1 407 ${inHeader(secret)}\r\n\r\n`);
  });
  const { address } = await listen(t, proxy);
  const file = (content) => makeFile(t, content, 'app-config.yaml');
  const withSecret = (more) => ({ env: { ...env, ...more } });
  const https = ['doctor', '--token-endpoint', `${secure.url}/token`];
  const known = ['doctor', '--token-endpoint', issuing.tokenEndpoint];
  const absent = ['doctor', '--token-endpoint', 'https://sso.nowhere.invalid/token'];
  const proxyUrl = `http://jane:${encodeURIComponent(secret)}@${address}`;
  const rows = {
    'a certificate': [https, withSecret({ KEYCLOAK_CLIENT_SECRET: named })],
    'a certificate with a trusted authority': [
      [...https, '--ca-file', certificates.ca.certFile],
      withSecret({ KEYCLOAK_CLIENT_SECRET: named }),
    ],
    'the password of a proxy': [absent, withSecret({ HTTPS_PROXY: proxyUrl })],
    'the password of an unusable proxy': [
      absent,
      withSecret({ HTTPS_PROXY: `ftp://a:${secret}@h` }),
    ],
    'the option proxy': [absent, withSecret({ KEYCLOAK_PROXY: proxyUrl })],
    'a header': [known, withSecret({ KEYCLOAK_HEADERS: JSON.stringify({ 'x-key': secret }) })],
    'a broken record': [known, withSecret({ KEYCLOAK_HEADERS: `{"${secret}` })],
    'a key that the manager cannot parse': [
      known,
      { env: { KEYCLOAK_PRIVATE_KEY: `-----BEGIN ${secret}` } },
    ],
    'an assertion': [
      [...known, '--client-assertion-file', makeFile(t, token)],
      { env: { KEYCLOAK_CLIENT_ID: CLIENT_ID } },
    ],
    'a secret on several lines': [
      [...known, '--client-secret-file', makeFile(t, `${secret}\n${secret}\n`)],
      { env: { KEYCLOAK_CLIENT_ID: CLIENT_ID } },
    ],
    'broken YAML': [['doctor', '--config', file(`a: b\nboost: { x: "${secret}\n`)]],
    'an alias in YAML': [['doctor', '--config', file(`boost: *${named}`)]],
    'an unknown key': [
      ['doctor', '--config', file(`boost: { kagenti: { auth: { a: ${named} } } }`)],
    ],
    'a wrong type': [
      ['token', '--config', file(`boost: { kagenti: { auth: { clientSecret: [${named}] } } }`)],
    ],
    'the URL of the endpoint': [
      ['doctor', '--token-endpoint', `https://a:${named}@h/`, '--client-id', 'a'],
      { env },
    ],
    'the flag of the secret': [['doctor', '--client-secret', secret]],
    'an argument': [['token', secret, secret]],
    'an unknown flag': [['token', `--${named}=${secret}`]],
    'a broken token': [['decode'], { input: token.slice(0, -40).replaceAll('.', '') }],
    'a token': [['decode', '--json'], { input: token }],
    'a token on two lines': [['decode'], { input: `${token}\n${token}` }],
    'a refused token request': [['token', '--token-endpoint', issuing.tokenEndpoint], { env }],
  };
  for (const [name, [args, more]] of Object.entries(rows)) await keep(name, args, more);

  for (const { name, shown } of outputs) {
    assert.equal(canaries.find(shown), undefined, `${name}: ${shown}`);
    // biome-ignore lint/suspicious/noControlCharactersInRegex: these would control a terminal.
    assert.doesNotMatch(shown, /[\x00-\x09\x0b-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e]/, name);
  }
  const statuses = new Set(outputs.map(({ status }) => status));
  assert.deepEqual([...statuses].sort(), [0, 1, 2]);
  const hidden = outputs.filter(({ shown }) => shown.includes('it contains a part of a secret'));
  assert.ok(hidden.length > 30, `only ${hidden.length} outputs hide a text`);
  for (const value of Object.values(spellings)) assert.ok(canaries.find(value));
});

describe("no fault that Backstage's loader finds shows a piece of a secret", () => {
  const workspace = useWorkspace();
  const include = (name) => ({ $include: name });
  /** The name; the value of `clientSecret`; the included file; and the fault that the text names. */
  const rows = [
    ['broken JSON', include('a.json#s'), `{"s": ${named}}`, /not valid JSON or YAML/],
    ['JSON that ends early', include('a.json#s'), `{"s": "${named}`, /not valid JSON or YAML/],
    ['a JSON file without JSON', include('a.json'), named, /not valid JSON or YAML/],
    ['broken YAML', include('a.yaml#s'), `s: "${named}\n  at x: [${named}`, /not valid JSON or/],
    ['YAML with a tab', include('a.yml#s'), `s:\n\t- ${named}: ${named}: x`, /not valid JSON or/],
    ['an unknown alias', include('a.yaml#s'), `s: *${named}`, /not valid JSON or YAML/],
    ['another path', include(`a.yaml#s.${named}.x`), `s: ${named}`, /cannot read \$include in/],
    ['another extension', include(`${named}.txt`), named, /must end with \.json, \.yaml or \.yml/],
    [
      'an inclusion in the included file',
      include('a.yaml'),
      `a: { $file: ${named} }`,
      /cannot read \$include in/,
    ],
    ['a file that does not exist', include(`${named}.json`), undefined, /does not exist/],
    ['a missing $file', { $file: named }, undefined, /cannot read \$file in .+: the file/],
    ['a folder as $file', { $file: '.' }, undefined, /\$file in .+: the file is unreadable/],
    [
      'the secret as the name of $file',
      { $file: `\${CANARY}` },
      undefined,
      /cannot read \$file in/,
    ],
    ['an $env that is a list', { $env: [named] }, undefined, /cannot read \$env in/],
    ['an $env beside a key', { $env: 'CANARY', x: named }, undefined, /cannot read \$env in/],
  ];

  before(() => {
    process.env.CANARY = named;
  });
  after(() => {
    delete process.env.CANARY;
  });

  for (const [name, clientSecret, content, fault] of rows) {
    test(name, async () => {
      const { folder: cwd } = workspace;
      const auth = { tokenEndpoint: issuing.tokenEndpoint, clientId: CLIENT_ID, clientSecret };
      const config = JSON.stringify({ boost: { kagenti: { auth } } });
      fs.writeFileSync(path.join(cwd, 'app-config.yaml'), config);
      const included = clientSecret.$include?.split('#')[0];
      if (content !== undefined) fs.writeFileSync(path.join(cwd, included), content);
      for (const command of [['token'], ['doctor'], ['doctor', '--json']]) {
        const args = [...command, '--config', 'app-config.yaml'];
        const { status, shown } = await output(args, { cwd, env: { CANARY: named } });
        assert.equal(status, 1, shown);
        assert.match(shown, fault);
        assert.match(shown, /app-config\.yaml: .+ in boost\.kagenti\.auth\.clientSecret/);
        assert.equal(canaries.find(shown), undefined, shown);
      }
    });
  }
});

test('the output never contains the message of an error that a library throws', async () => {
  const { messageOf } = require('../../lib/cli/finding.js');
  assert.equal(canaries.find(messageOf(new SyntaxError(`near ${named}`))), undefined);
  const stdin = {
    get isTTY() {
      throw new TypeError(`near\n    at ${named}\n`);
    },
  };
  const stderr = new PassThrough();
  const shown = text(stderr);
  const args = ['doctor', '--issuer', 'https://h'];
  const status = await main(args, { stdin, stderr, env: {}, cwd: process.cwd() });
  stderr.end();
  assert.equal(status, 1);
  assert.match(await shown, /please report it\n {4}at .+redaction\.test\.js/);
  assert.equal(canaries.find(await shown), undefined);
});

test('text from a server cannot control the terminal', () => {
  const { Redactor } = require('../../lib/cli/redactor.js');
  const redactor = new Redactor();
  assert.equal(
    redactor.show('a\u001b[31m\r\nb\u202e\u0007\\'),
    'a\\u{1b}[31m\\u{d}\\u{a}b\\u{202e}\\u{7}\\\\',
  );
  assert.equal(redactor.show('ü – "x" 日本'), 'ü – "x" 日本');
  assert.equal(redactor.show('x'.repeat(400)).length, 301);
});
