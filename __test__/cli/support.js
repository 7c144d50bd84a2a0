'use strict';

// Runs the command line in its own process, without the environment variables of this machine.

const assert = require('node:assert/strict');
const { spawn } = require('node:child_process');
const { once } = require('node:events');
const net = require('node:net');
const path = require('node:path');
const { text } = require('node:stream/consumers');
const { Worker } = require('node:worker_threads');

const PROGRAM = path.join(__dirname, '..', '..', 'lib', 'cli', 'index.js');
const LIMIT_MS = 60_000;
const CLIENT_ID = 'test-client';
const SECRET = 'test-secret';

/** Runs the program to its end. Resolves with `{ status, stdout, stderr }`. */
async function runProgram(args, { env = {}, input = '', cwd, program = PROGRAM } = {}) {
  const child = spawn(process.execPath, [program, ...args], {
    env: { PATH: process.env.PATH, ...env },
    cwd,
    timeout: LIMIT_MS,
    killSignal: 'SIGKILL',
  });
  child.stdin.end(input);
  const [stdout, stderr, [status]] = await Promise.all([
    text(child.stdout),
    text(child.stderr),
    once(child, 'exit'),
  ]);
  return { status, stdout, stderr };
}

/** Runs the doctor with flags, keyed by name. Resolves with its JSON and its exit status. */
async function runDoctor(flags, { env, ...more } = {}) {
  const args = Object.entries(flags).flatMap(([name, value]) =>
    [value].flat().flatMap((one) => (one === true ? [`--${name}`] : [`--${name}`, one])),
  );
  const { status, stdout, stderr } = await runProgram(['doctor', '--json', ...args], {
    env: { KEYCLOAK_CLIENT_SECRET: SECRET, ...env },
    ...more,
  });
  assert.equal(stderr, '');
  return { status, ...JSON.parse(stdout) };
}

/** Returns the troubles: the findings with the state `warning` or `failed`, in order. */
const troubles = ({ findings }) =>
  findings.filter(({ state }) => state === 'warning' || state === 'failed');

/**
 * Starts a listener that accepts no connection, and fills its queue, so that the system drops
 * further connections. Returns its port.
 */
async function startFullListener(t) {
  const worker = new Worker(
    `const { parentPort } = require('node:worker_threads');
     const server = require('node:net').createServer();
     server.listen({ host: '127.0.0.1', port: 0, backlog: 1 }, () => {
       parentPort.postMessage(server.address().port);
       Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0);
     });`,
    { eval: true },
  );
  t.after(() => worker.terminate());
  const [port] = await once(worker, 'message');
  // The queue holds one connection more than its configured length.
  for (let place = 0; place < 2; place += 1) {
    const socket = net.connect(port, '127.0.0.1');
    socket.on('error', () => {});
    t.after(() => socket.destroy());
    await once(socket, 'connect');
  }
  return port;
}

module.exports = {
  CLIENT_ID,
  PROGRAM,
  SECRET,
  runDoctor,
  runProgram,
  startFullListener,
  troubles,
};
