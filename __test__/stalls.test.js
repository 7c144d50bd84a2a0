'use strict';

// A look-up or a read that hangs occupies one of the eight threads for its kind of work. A Linux
// file lease makes a file hang: opening it blocks until the lease is released. A hanging hosts file
// makes look-ups hang.

const assert = require('node:assert/strict');
const { spawn } = require('node:child_process');
const { once } = require('node:events');
const fs = require('node:fs');
const path = require('node:path');
const { describe, it } = require('node:test');
const { makeCertificates } = require('../tools/certificates.js');
const { makeFolder } = require('./support/files.js');
const { withHosts } = require('./support/hosts-file.js');
const {
  CLIENT,
  numbered,
  rejection,
  start,
  startEndpoint,
  times,
} = require('./support/manager.js');
const { run } = require('./programs');

/** A hanging test must fail. */
const LIMIT_MS = 30_000;
/** A number of hanging operations below the number of threads, and one above it. */
const COUNTS = [2, 9];
const DEADLINE_MS = 1000;
const MANAGERS = 1000;
/** One thread for requests, eight each for look-ups and files, and one for Node's certificates. */
const MOST_THREADS = 18;
const isLinux = process.platform === 'linux' ? false : 'needs leases and /proc, as on Linux';

/** The kernel's signal that a process waits for the file would otherwise end the program. */
const HOLD_LEASES = `
import fcntl, signal, sys, time
signal.signal(signal.SIGIO, signal.SIG_IGN)
files = [open(path, 'r+') for path in sys.argv[1:]]
for file in files:
    fcntl.fcntl(file, fcntl.F_SETLEASE, fcntl.F_WRLCK)
print('held', flush=True)
time.sleep(40)
`;

/** A folder with this many secret files and a hosts file. */
function makeFiles(t, count) {
  const folder = makeFolder(t);
  const write = (name, text) => {
    const file = path.join(folder, name);
    fs.writeFileSync(file, text);
    return file;
  };
  const secrets = times(count, (index) => write(`secret-${index}`, CLIENT.clientSecret));
  return { secrets, hosts: write('hosts', '127.0.0.1 localhost\n') };
}

/** Makes the files hang. Returns a function that releases them. */
async function hang(t, files) {
  const holder = spawn('python3', ['-c', HOLD_LEASES, ...files]);
  const ended = once(holder, 'exit');
  const release = async () => {
    holder.kill('SIGKILL');
    await ended;
  };
  t.after(release);
  let complaint = '';
  holder.stderr.on('data', (text) => {
    complaint += text;
  });
  const [word] = await Promise.race([once(holder.stdout, 'data'), ended]);
  assert.match(String(word), /^held/, complaint);
  return release;
}

/** Whether a promise has settled by now. */
async function isSettled(promise) {
  const pending = Symbol('pending');
  const first = await Promise.race([promise.catch(() => {}), pending]);
  return first !== pending;
}

const byName = (url) => url.replace('127.0.0.1', 'localhost');

describe('a file that hangs', { timeout: LIMIT_MS, skip: isLinux }, () => {
  it('does not delay other managers', async (t) => {
    const { endpoint, open } = await start(t);
    const { secrets } = makeFiles(t, 2);
    const [hanging, other] = secrets.map((clientSecretFile) => ({
      clientSecret: undefined,
      clientSecretFile,
    }));
    const release = await hang(t, [hanging.clientSecretFile]);
    // Two managers share one thread.
    const calls = [open(hanging).getToken(), open(hanging).getToken()];
    const named = { tokenEndpoint: byName(endpoint.tokenEndpoint) };
    for (const options of [{}, other, named, { ...other, ...named }]) {
      assert.equal(typeof (await open(options).getToken()), 'string');
    }
    for (const call of calls) assert.equal(await isSettled(call), false);
    await release();
    for (const call of calls) assert.equal(typeof (await call), 'string');
  });

  it('with trusted certificates causes an error that names this stage', async (t) => {
    const { open } = await start(t);
    const { secrets } = makeFiles(t, 1);
    await hang(t, secrets);
    const tokenEndpoint = 'https://127.0.0.1:1/token';
    const call = open({ tokenEndpoint, caFile: secrets[0], requestTimeoutMs: 200 }).getToken();
    const { message } = await rejection(call, 'ERR_KEYCLOAK_TIMEOUT');
    assert.match(message, /\(reading a file of trusted certificates\)/);
  });

  for (const count of COUNTS) {
    it(`does not delay a manager without a file if ${count} files hang`, async (t) => {
      const { endpoint, open } = await start(t);
      const { secrets } = makeFiles(t, count);
      const release = await hang(t, secrets);
      const openOn = (clientSecretFile, requestTimeoutMs) =>
        open({ clientSecret: undefined, clientSecretFile, requestTimeoutMs });
      const calls = secrets.map((file) => openOn(file, DEADLINE_MS).getToken());
      const failures = calls.map((call) => rejection(call, 'ERR_KEYCLOAK_TIMEOUT'));
      for (const options of [{}, { tokenEndpoint: byName(endpoint.tokenEndpoint) }]) {
        const manager = open(options);
        const first = await manager.getToken();
        assert.notEqual(await manager.getToken({ forceRefresh: true }), first);
      }
      for (const [index, { message }] of (await Promise.all(failures)).entries())
        assert.ok(message.includes(`(reading clientSecretFile "${secrets[index]}")`), message);
      await release();
      const tokens = await Promise.all(secrets.map((file) => openOn(file).getToken()));
      assert.equal(new Set(tokens).size, count);
    });

    it(`does not delay an https manager without a file if ${count} files hang`, async (t) => {
      const certificates = makeCertificates();
      const { key, cert } = certificates.server;
      const endpoint = await startEndpoint(t, { tls: { key, cert } });
      const { secrets } = makeFiles(t, count);
      const release = await hang(t, secrets);
      const env = { NODE_EXTRA_CA_CERTS: certificates.ca.certFile };
      const args = [endpoint.tokenEndpoint, 'files', ...secrets];
      const program = run(t, 'stalls.js', args, { env });
      assert.deepEqual(await program.next(), { token: 'string', settled: 0 });
      await release();
      program.goOn();
      assert.deepEqual(await program.result(), { tokens: count });
    });
  }
});

describe('look-ups that hang', { timeout: LIMIT_MS, skip: isLinux }, () => {
  for (const count of COUNTS) {
    it(`do not delay other managers if ${count} look-ups and a file hang`, async (t) => {
      const { secrets, hosts } = makeFiles(t, 2);
      const started = withHosts(t, hosts);
      if (started === undefined) return;
      const endpoint = await startEndpoint(t);
      const release = await hang(t, [hosts, secrets[1]]);
      const args = [endpoint.tokenEndpoint, 'look-ups', count, ...secrets];
      const program = run(t, 'stalls.js', args, started);
      assert.deepEqual(await program.next(), { tokens: 2, settled: 0 });
      await release();
      program.goOn();
      const codes = times(count, () => 'ERR_KEYCLOAK_NETWORK');
      assert.deepEqual(await program.result(), { codes, hung: 'string' });
    });
  }
});

describe('a thousand managers', { timeout: LIMIT_MS, skip: isLinux }, () => {
  it('use at most eighteen threads while they look up names and read files', async (t) => {
    const { endpoint } = await start(t);
    endpoint.setAnswer(numbered());
    const { secrets } = makeFiles(t, 1);
    const tokenEndpoint = byName(endpoint.tokenEndpoint);
    const program = run(t, 'threads.js', [tokenEndpoint, secrets[0], MANAGERS]);
    const { made, most, tokens } = await program.result();
    assert.equal(made, 0);
    assert.ok(most > 1 && most <= MOST_THREADS, `${most} threads`);
    assert.equal(tokens, MANAGERS);
  });
});
