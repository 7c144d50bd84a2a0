'use strict';

// The memory that managers use, and its release.

const assert = require('node:assert/strict');
const net = require('node:net');
const { describe, it } = require('node:test');
const { run } = require('./programs');
const { listen } = require('./support/listen.js');
const { startEndpoint, tokenResponse, until } = require('./support/manager.js');

/** A hanging test must fail. */
const LIMIT_MS = 30_000;

const execArgv = ['--expose-gc'];
const isLinux = process.platform === 'linux' ? false : 'needs /proc';

const task = (t, { tokenEndpoint }, name, env) =>
  run(t, 'memory.js', [tokenEndpoint, name], { execArgv, env });

describe('a 300 MB answer', { timeout: LIMIT_MS, skip: isLinux }, () => {
  for (const [name, answer] of [
    ['with Content-Length', { headers: { 'Content-Length': '300000000' } }],
    ['in chunks', {}],
  ]) {
    it(`${name} causes an error and takes no memory`, async (t) => {
      const endpoint = await startEndpoint(t);
      endpoint.answerNext({}, { ...answer, fault: 'flood' });
      const { code, message, grown } = await task(t, endpoint, 'flood').result();
      assert.equal(code, 'ERR_KEYCLOAK_PROTOCOL');
      assert.match(message, /larger than 1 MiB/);
      assert.ok(grown < 20, `${grown} MiB more`);
      assert.equal(endpoint.requestCount, 2, 'the request is not repeated');
    });
  }

  it('with status 503 causes a retry and takes no memory', async (t) => {
    const endpoint = await startEndpoint(t);
    endpoint.answerNext({}, { status: 503, fault: 'flood' });
    const { code, grown } = await task(t, endpoint, 'flood').result();
    assert.equal(code, undefined, 'the second request gives a token');
    assert.ok(grown < 20, `${grown} MiB more`);
    assert.equal(endpoint.requestCount, 3);
  });
});

describe('without close', { timeout: LIMIT_MS }, () => {
  it('the garbage collector frees 500 managers and their background work', async (t) => {
    const clients = { 'test-client': 'test-secret', control: 'test-secret' };
    const endpoint = await startEndpoint(t, { clients, expiresIn: 5 });
    // The last of the dropped managers would refresh its token after 2.5 s.
    const dueMs = 2_700;
    endpoint.setAnswer(({ clientId }) => (clientId === 'control' ? { expiresIn: 1 } : {}));
    const count = (id) => endpoint.requests.filter(({ clientId }) => clientId === id).length;
    const program = task(t, endpoint, 'drop');
    assert.deepEqual(await program.next(), { made: 500, collected: 500 });
    const since = performance.now();
    const before = count('test-client');
    await until(() => performance.now() - since > dueMs, 'the refreshes would be due');
    assert.ok(count('control') > 2, 'the open manager refreshes');
    assert.equal(count('test-client'), before);
    program.goOn();
    assert.equal((await program.ended()).code, 0);
  });

  it('a manager with waiting callers answers them', async (t) => {
    const endpoint = await startEndpoint(t);
    endpoint.pause();
    const program = task(t, endpoint, 'wait');
    assert.equal(await program.next(), 'asked');
    await endpoint.waitForRequests(4);
    program.goOn();
    assert.equal(await program.next(), 'collected');
    endpoint.resume();
    assert.deepEqual(await program.result(), {
      plain: 'string',
      object: 'string',
      afterOneLeft: 'string',
      secretFunction: 'string',
    });
    assert.equal(endpoint.requestCount, 4);
  });

  it('the garbage collector frees a refreshing manager, which cancels its request', async (t) => {
    const body = JSON.stringify(tokenResponse('a-token', 1));
    let requests = 0;
    let isBrokenOff = false;
    // The server answers the first request, and never answers the second one.
    const server = net.createServer((socket) => {
      socket.on('data', () => {
        requests += 1;
        const head = `HTTP/1.1 200 OK\r\nContent-Length: ${body.length}\r\n\r\n`;
        if (requests === 1) socket.write(`${head}${body}`);
      });
      socket.on('close', () => {
        isBrokenOff = true;
      });
    });
    const { url } = await listen(t, server);
    const program = task(t, { tokenEndpoint: `${url}/token` }, 'dropInFlight');
    assert.equal(await program.next(), 'used');
    await until(() => requests === 2, 'a refresh is under way');
    assert.equal(isBrokenOff, false);
    program.goOn();
    assert.deepEqual(await program.next(), { isGone: true });
    await until(() => isBrokenOff, 'the connection is closed');
    program.goOn();
    assert.equal((await program.ended()).code, 0);
  });
});
