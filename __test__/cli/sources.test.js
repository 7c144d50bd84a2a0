'use strict';

// The sources of a command's options: flags, environment variables, configuration files and the
// prompt. A usage error ends with status 2 and never repeats a value.

const assert = require('node:assert/strict');
const fs = require('node:fs');
const path = require('node:path');
const { once } = require('node:events');
const { PassThrough } = require('node:stream');
const { text } = require('node:stream/consumers');
const { describe, test } = require('node:test');
const { main } = require('../../lib/cli/main.js');
const { options } = require('../../lib/cli/options.js');
const { OWN_FLAGS } = require('../../lib/cli/arguments.js');
const { readTable } = require('../../tools/options.js');
const { startApi } = require('../support/api-server.js');
const { makeFile, makeFolder } = require('../support/files.js');
const { startEndpoint, tokenJson } = require('../support/manager.js');
const { CLIENT_ID, SECRET, runDoctor, runProgram, troubles } = require('./support.js');

const CANARY = 'canary-7f3a-canary';
/** A reference to an environment variable in a configuration file. */
const ref = (name) => `\${${name}}`;
const LIMITS = { concurrency: 3, timeout: 120_000 };

describe('a usage error ends with status 2 and shows no value', LIMITS, () => {
  const secrets = options.filter(({ hasFlag }) => !hasFlag);
  const rows = [
    ['no command', [], /expected a command, one of doctor, token, decode/],
    ['an unknown command', [CANARY], /the first argument is not a command/],
    ['a second argument', ['token', CANARY], /takes no arguments except flags/],
    ['an unknown flag', ['doctor', `--secret=${CANARY}`], /unknown flag --secret/],
    ['an unknown flag with capitals', ['doctor', `--${CANARY}X`], /unknown flag\n/],
    ['a flag without a value', ['doctor', '--client-id'], /--client-id needs a value/],
    [
      'a flag in place of a value',
      ['doctor', '--client-id', '--json'],
      /--client-id needs a value/,
    ],
    ['a value for a switch', ['doctor', `--json=${CANARY}`], /--json takes no value/],
    ['a flag of another command', ['token', '--json'], /token has no flag --json/],
    ['an option for decode', ['decode', '--client-id', CANARY], /decode has no flag --client-id/],
    ['a key without a file', ['token', '--key', CANARY], /--key needs --config/],
    ['a broken pair', ['token', '--parameters', CANARY], /--parameters: expected NAME=VALUE/],
    ['a proxy with a password', ['token', '--proxy', `http://a:${CANARY}@p`], /KEYCLOAK_PROXY/],
    [
      'an API with plain http',
      ['doctor', '--api', `http://${CANARY}.example`],
      /expected an https/,
    ],
    ['an API with a password', ['doctor', '--api', `https://a:${CANARY}@h`], /without a user name/],
    ...secrets.map(({ flag, variable }) => [
      `a value for --${flag}`,
      ['doctor', `--${flag}`, CANARY],
      new RegExp(`^--${flag} is not a flag, because .+ environment variable ${variable}`),
    ]),
  ];
  for (const [name, args, message] of rows) {
    test(name, async () => {
      const { status, stdout, stderr } = await runProgram(args);
      assert.deepEqual([status, stdout], [2, '']);
      assert.match(stderr, message);
      assert.ok(!stderr.includes(CANARY), stderr);
    });
  }

  test('a variable with a broken record', async () => {
    const env = { KEYCLOAK_HEADERS: `{"${CANARY}` };
    const { status, stderr } = await runProgram(['token', '--client-id', 'a'], { env });
    assert.equal(status, 2);
    assert.match(stderr, /^KEYCLOAK_HEADERS: expected a JSON object/);
    assert.ok(!stderr.includes(CANARY), stderr);
  });
});

test('every option has a flag or a variable, unless it is meaningless for a single token', () => {
  const known = options.map(({ name }) => name);
  const absent = readTable().filter(({ name }) => !known.includes(name));
  const expected = [
    ...['tokenExpiryBufferSeconds', 'requestTimeoutMs', 'backgroundRefresh'],
    ...['resource', 'logger', 'name'],
  ];
  const later = ['store', 'storeKey', 'storeUserTokens', 'maxUserTokens', 'propagateTraceContext'];
  const names = absent.map(({ name }) => name).filter((name) => !later.includes(name));
  assert.deepEqual(names, expected);
  for (const { name, isSecret, hasFlag } of options) assert.ok(!(isSecret && hasFlag), name);
});

test('--help names every flag and the variable of every secret, within 100 columns', async () => {
  const { status, stdout, stderr } = await runProgram(['--help']);
  assert.deepEqual([status, stderr], [0, '']);
  for (const { flag, variable, hasFlag } of options) {
    assert.match(stdout, new RegExp(`^  ${hasFlag ? `--${flag}` : variable}( |$)`, 'm'));
  }
  for (const flag of Object.keys(OWN_FLAGS)) assert.ok(stdout.includes(`--${flag}`), flag);
  for (const line of stdout.split('\n')) assert.ok(line.length <= 100, line);
});

test('token prints a token alone, and decode explains it', async (t) => {
  const { tokenEndpoint, issuer } = await startEndpoint(t);
  const args = ['token', '--token-endpoint', tokenEndpoint, '--client-id', CLIENT_ID];
  const env = { KEYCLOAK_CLIENT_SECRET: SECRET };
  const { status, stdout, stderr } = await runProgram(args, { env });
  assert.deepEqual([status, stderr], [0, '']);
  assert.match(stdout, /^[\w-]+\.[\w-]+\.[\w-]+\n$/);
  const decoded = await runProgram(['decode', '--json'], { input: `Bearer ${stdout}` });
  assert.equal(decoded.status, 0);
  const [{ details }] = JSON.parse(decoded.stdout).findings;
  assert.deepEqual([details.iss, details.azp], [issuer, CLIENT_ID]);
  assert.ok(!decoded.stdout.includes(stdout.trim().split('.')[2]), 'the signature is not shown');
  const broken = await runProgram(['decode'], { input: 'x.y.z' });
  assert.equal(broken.status, 1);
  assert.match(broken.stdout, /the standard input is not a JWT \(5 characters\)/);
  const refused = await runProgram(args, { env: { KEYCLOAK_CLIENT_SECRET: 'another' } });
  assert.deepEqual([refused.status, refused.stdout], [1, '']);
  assert.match(
    refused.stderr,
    /^the token request .+ unauthorized_client.+\nadvice: copy the secret/,
  );
});

describe('token warns on standard error about a secret over plain http', LIMITS, () => {
  const endpoint = 'http://sso.nowhere.invalid/token';
  const rows = [
    ['to tokenEndpoint', () => ['--token-endpoint', endpoint], 'tokenEndpoint'],
    [
      'to the endpoint in the discovery document',
      (url) => ['--issuer', `${url}/realms/test`],
      'the token endpoint in the discovery document',
    ],
  ];
  for (const [name, flagsFor, what] of rows) {
    test(name, async (t) => {
      // The server is the proxy as well, so that it receives the requests for the other host.
      const { url, requests } = await startApi(t, ({ method }) =>
        method === 'POST'
          ? tokenJson()
          : JSON.stringify({ issuer: `${url}/realms/test`, token_endpoint: endpoint }),
      );
      const args = ['token', ...flagsFor(url), '--client-id', CLIENT_ID, '--proxy', url];
      const env = { KEYCLOAK_CLIENT_SECRET: CANARY };
      const { status, stdout, stderr } = await runProgram(args, { env });
      assert.equal(status, 0, stderr);
      assert.match(stdout, /^\S+\n$/);
      assert.equal(
        stderr,
        `warning: ${what} uses plain http, so an attacker on the network path can read the ` +
          "client's secret and tokens; use https unless you trust the network\n",
      );
      assert.equal(requests.at(-1).url, endpoint);
    });
  }
});

describe('decode explains a token with claims of wrong types', LIMITS, () => {
  const hostile = { toString: 1, toJSON: 1 };
  const deep = '['.repeat(100_000) + ']'.repeat(100_000);
  const rows = [
    ['roles', { realm_access: { roles: [hostile, 'a'] } }, { roles: 'a' }],
    [
      'roles of clients',
      { resource_access: { c: { roles: [hostile, 'b', null] }, d: null, e: { roles: hostile } } },
      { roles: 'c:b' },
    ],
    ['audiences', { aud: ['x', hostile, ['y'], 7] }, { aud: 'x' }],
    ['one audience', { aud: hostile }, { aud: 'none' }],
    ['an issuer', { iss: hostile, sub: [hostile] }, { iss: JSON.stringify(hostile) }],
    ['times', { exp: hostile, iat: '1', nbf: 1e300 }, { expires: undefined, life: undefined }],
    [
      'deep nesting',
      `{"iss":${deep},"aud":${deep},"realm_access":{"roles":${deep}}}`,
      { iss: '(not shown, because it is nested too deeply)', aud: 'none', roles: undefined },
    ],
  ];
  const base64url = (json) => Buffer.from(json).toString('base64url');
  for (const [name, claims, expected] of rows) {
    test(name, async () => {
      const json = typeof claims === 'string' ? claims : JSON.stringify(claims);
      const input = `${base64url('{"alg":"none"}')}.${base64url(json)}.x`;
      const { status, stdout, stderr } = await runProgram(['decode', '--json'], { input });
      assert.deepEqual([status, stderr], [0, '']);
      const [{ details }] = JSON.parse(stdout).findings;
      for (const [key, value] of Object.entries(expected)) assert.equal(details[key], value, key);
    });
  }
});

test('only --show-token shows the token', async (t) => {
  const { tokenEndpoint } = await startEndpoint(t);
  const flags = { 'token-endpoint': tokenEndpoint, 'client-id': CLIENT_ID };
  const [shown, hidden] = await Promise.all([
    runDoctor({ ...flags, 'show-token': true }),
    runDoctor(flags),
  ]);
  const tokens = (result) => JSON.stringify(result).match(/eyJ[\w-]+\.[\w-]+\.[\w-]+/g);
  assert.equal(tokens(shown).length, 1);
  assert.equal(tokens(hidden), null);
});

describe('the environment', LIMITS, () => {
  test('can set every option, and a flag replaces the variables of its group', async (t) => {
    const { tokenEndpoint, issuer } = await startEndpoint(t);
    const env = { KEYCLOAK_ISSUER: issuer, KEYCLOAK_CLIENT_ID: CLIENT_ID };
    assert.equal((await runDoctor({}, { env })).status, 0);
    const file = makeFile(t, SECRET);
    const flags = { 'client-secret-file': file, 'token-endpoint': tokenEndpoint };
    const result = await runDoctor(flags, { env: { ...env, KEYCLOAK_CLIENT_SECRET: 'wrong' } });
    assert.deepEqual([result.status, troubles(result)], [0, []], JSON.stringify(result));
    const { text: found } = result.findings.find(({ step }) => step === 'credential');
    assert.match(found, /^client_secret_post with clientSecretFile ".+"; every user .+ can read/);
  });

  test('has no effect with --config', async (t) => {
    const { tokenEndpoint } = await startEndpoint(t);
    const file = makeFile(t, section(tokenEndpoint), 'app-config.yaml');
    const env = { SECRET, KEYCLOAK_CLIENT_ID: 'another', KEYCLOAK_CLIENT_SECRET: 'another' };
    assert.equal((await runDoctor({ config: file }, { env })).status, 0);
  });
});

/** Returns a configuration file; `more` contains further lines of the section. */
const section = (tokenEndpoint, secret = ref('SECRET'), more = '') => `
boost:
  kagenti:
    auth:
      tokenEndpoint: ${tokenEndpoint}
      clientId: \${CLIENT:-${CLIENT_ID}}
      clientSecret: ${secret}
${more}`;

describe('a Backstage configuration without Backstage', LIMITS, () => {
  const rows = [
    [
      'a missing variable',
      {},
      /boost\.kagenti\.auth\.clientSecret needs .+ SECRET, which is not set/,
    ],
    ['an empty variable', { SECRET: '' }, /needs the environment variable SECRET, which is empty/],
    [
      'a missing variable below a key with dots',
      { SECRET },
      /auth\.parameters\.a\.b needs the environment variable MISSING/,
      {},
      section('http://h/t', undefined, `      parameters: { 'a.b': '${ref('MISSING')}' }`),
    ],
    [
      'a missing variable in an object of a list',
      { SECRET },
      /auth\.scope\[1\]\.a needs the environment variable MISSING/,
      {},
      section('http://h/t', undefined, `      scope: [b, { a: '${ref('MISSING')}' }]`),
    ],
    ['another key', { SECRET }, /the section keycloak is missing or empty/, { key: 'keycloak' }],
    [
      'a file that does not exist',
      {},
      /the configuration file .+ is unreadable \(ENOENT\)/,
      {},
      null,
    ],
    ['broken YAML', {}, /not valid YAML in line 3$/, {}, `a: b\nc: "${CANARY}\nd: [`],
    [
      'a number in place of a string',
      { SECRET },
      /clientSecret/,
      {},
      section('http://h', '12345678'),
    ],
    [
      'an unknown key',
      { SECRET },
      /unknown key "secret"/,
      {},
      section('http://h/t', 'x', '      secret: y'),
    ],
    [
      'an inclusion',
      {},
      /uses \$file, which only @backstage\/config-loader/,
      {},
      section('http://h/t', '{ $file: secret }'),
    ],
  ];
  for (const [name, env, message, flags = {}, content = section('http://127.0.0.1/t')] of rows) {
    test(`with ${name} causes the first trouble that the doctor reports`, async (t) => {
      const file = path.join(makeFolder(t), 'app-config.yaml');
      if (content !== null) fs.writeFileSync(file, content);
      const result = await runDoctor({ config: file, ...flags }, { env });
      const [first] = troubles(result);
      assert.equal(first?.step, 'options', JSON.stringify(result));
      assert.match(first.text, message);
      assert.equal(result.status, 1);
      assert.ok(!JSON.stringify(result).includes(CANARY));
    });
  }

  test('may use variables and several files, and the doctor reports what it substituted', async (t) => {
    const { tokenEndpoint } = await startEndpoint(t);
    const folder = makeFolder(t);
    const write = (name, content) => fs.writeFileSync(path.join(folder, name), content);
    write('app-config.yaml', section(ref('ELSEWHERE')));
    write('local.yaml', `boost: { kagenti: { auth: { tokenEndpoint: '${tokenEndpoint}' } } }`);
    const files = { config: ['app-config.yaml', 'local.yaml'] };
    const result = await runDoctor(files, { env: { SECRET }, cwd: folder });
    assert.equal(result.status, 0, JSON.stringify(result));
    const { text: found } = result.findings.find(({ step }) => step === 'options');
    assert.match(found, /from app-config\.yaml, local\.yaml, section boost\.kagenti\.auth/);
    assert.match(
      found,
      /@backstage\/config-loader is not installed here, so this command replaced only \$\{NAME\}/,
    );
  });

  test('with a missing variable for an optional key causes a warning', async (t) => {
    const { tokenEndpoint } = await startEndpoint(t);
    const content = section(tokenEndpoint, ref('SECRET'), `      scope: ${ref('SCOPE')}`);
    const config = makeFile(t, content, 'app-config.yaml');
    const result = await runDoctor({ config }, { env: { SECRET } });
    assert.equal(result.status, 0, JSON.stringify(result));
    assert.match(troubles(result)[0].text, /auth\.scope needs the environment variable SCOPE/);
    assert.match(troubles(result)[0].advice, /set SCOPE for this command/);
  });
});

test('the prompt asks for the secret on a terminal, without echo', {
  timeout: 60_000,
}, async (t) => {
  const { tokenEndpoint } = await startEndpoint(t);
  const streams = {
    stdin: new PassThrough(),
    stdout: new PassThrough(),
    stderr: new PassThrough(),
  };
  Object.assign(streams.stdin, { isTTY: true, setRawMode: () => streams.stdin });
  const args = ['doctor', '--token-endpoint', tokenEndpoint, '--client-id', CLIENT_ID];
  let said = '';
  streams.stderr.on('data', (data) => (said += data));
  const asked = once(streams.stderr, 'data');
  const ended = main(args, { ...streams, env: {}, cwd: process.cwd() });
  await asked;
  assert.equal(said, `Secret of client ${CLIENT_ID} (not echoed): `);
  streams.stdin.write(`${SECRET}\r`);
  assert.equal(await ended, 0);
  streams.stdout.end();
  const printed = await text(streams.stdout);
  assert.match(
    printed,
    /✓ options +tokenEndpoint, clientId from flags; clientSecret from the terminal/,
  );
  assert.match(printed, /✓ credential +client_secret_post with clientSecret \(/);
  assert.ok(said.endsWith('\n') && !said.includes(SECRET), said);
});

describe('the text report', LIMITS, () => {
  test('has one line for each step, with advice below a trouble, and no colours', async (t) => {
    const { tokenEndpoint } = await startEndpoint(t);
    const flags = ['--token-endpoint', tokenEndpoint, '--client-id', CLIENT_ID, '--proxy', 'false'];
    const env = { KEYCLOAK_CLIENT_SECRET: `${SECRET} ` };
    const { status, stdout } = await runProgram(['doctor', ...flags], { env });
    assert.equal(status, 1);
    const sources =
      'clientSecret from KEYCLOAK_CLIENT_SECRET; tokenEndpoint, clientId, proxy from flags';
    assert.ok(stdout.includes(sources), stdout);
    const lines = stdout.trimEnd().split('\n');
    const signs = lines.map((line) => line[0]).join('');
    assert.equal(signs, '✓✓✓✓✓✓! ✗ –', stdout);
    for (const line of lines.filter((one) => /^[✓!✗]/.test(one))) assert.match(line, /\(\d+ ms\)$/);
    assert.match(lines.at(-1), /^– not checked: +clock, token$/);
  });

  test('has colours on a terminal, unless NO_COLOR is set', async () => {
    const { TextReport } = require('../../lib/cli/report.js');
    for (const [isTTY, env, expected] of [
      [true, {}, '\u001b[32m✓\u001b[0m a              b (1 ms)\n'],
      [true, { NO_COLOR: '1' }, '✓ a              b (1 ms)\n'],
      [false, {}, '✓ a              b (1 ms)\n'],
    ]) {
      let printed = '';
      const stream = { isTTY, write: (line) => (printed += line) };
      new TextReport(stream, env).add({ step: 'a', state: 'ok', text: 'b', took: 1 });
      assert.equal(printed, expected);
    }
  });
});
