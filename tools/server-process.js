/**
 * Runs a server as the leader of its own process group, with its output in a file of its folder. A
 * second process, the guard, ends the group and removes the folder when this process ends, even by
 * SIGKILL. Signals go to the group, because some servers, such as `kc.sh`, have child processes and
 * forward only some signals to them.
 */
'use strict';

const { spawn } = require('node:child_process');
const { once } = require('node:events');
const fs = require('node:fs');
const { createServer } = require('node:net');
const path = require('node:path');
const { setTimeout: delay } = require('node:timers/promises');

/** This limit is longer than any graceful shutdown. */
const ENDED_WITHIN_MS = 60_000;
const POLL_MS = 50;
const LOG_TAIL_LINES = 30;

class ServerProcess {
  #folder;
  #guard;
  #child;

  constructor(folder) {
    this.#folder = folder;
  }

  get pid() {
    return this.#child?.pid;
  }

  /** Returns the output of the server since its last start. */
  output() {
    return fs.readFileSync(this.#logFile, 'utf8');
  }

  /** Resolves when the command has started. */
  async start(command, args, env) {
    if (this.#isRunning()) throw new Error('the server is already running');
    this.#guard ??= await guard(this.#folder);
    const log = fs.openSync(this.#logFile, 'w');
    const child = spawn(command, args, {
      cwd: this.#folder,
      detached: true,
      env,
      stdio: ['ignore', log, log],
    });
    if (child.pid !== undefined) this.#guard.stdin.write(`${child.pid}\n`);
    await once(child, 'spawn');
    fs.closeSync(log);
    // This process can exit without stopping the server. The guard then stops the server.
    child.unref();
    this.#child = child;
  }

  /** Resolves when the URL answers; rejects if the server ends or `withinMs` passes before that. */
  async answers(url, withinMs) {
    const deadline = Date.now() + withinMs;
    while (!(await isOk(url))) {
      const { exitCode, signalCode } = this.#child;
      const how = signalCode ?? exitCode;
      const isLate = Date.now() > deadline;
      if (how !== null || isLate) {
        const why = isLate ? `was not ready within ${withinMs / 1000} s` : `ended (${how})`;
        const tail = this.output().trimEnd().split('\n').slice(-LOG_TAIL_LINES).join('\n');
        throw new Error(`the server of ${url} ${why}:\n${tail}`);
      }
      await delay(POLL_MS);
    }
  }

  signal(name) {
    if (!this.#send(name)) throw new Error(`cannot send ${name}: the server has ended`);
  }

  /** Sends the signal to the group, and resolves when all processes of the group have ended. */
  async end(name) {
    if (!this.#isRunning()) return;
    this.#send(name);
    // A suspended group does not receive the signal.
    this.#send('SIGCONT');
    const deadline = Date.now() + ENDED_WITHIN_MS;
    while (this.#isRunning()) {
      if (Date.now() > deadline) throw new Error(`${name} did not stop the server`);
      await delay(POLL_MS);
    }
    this.#guard.stdin.write('\n');
  }

  /** Ends the group and removes the folder. */
  async remove() {
    const child = this.#guard;
    if (child !== undefined && child.exitCode === null && child.signalCode === null) {
      child.ref();
      const ended = once(child, 'exit');
      child.stdin.end();
      await ended;
    }
    fs.rmSync(this.#folder, { recursive: true, force: true });
  }

  get #logFile() {
    return path.join(this.#folder, 'server.log');
  }

  #isRunning() {
    return this.#child !== undefined && this.#send(0);
  }

  /** Sends the signal to the group, and returns whether a process has received it. */
  #send(signal) {
    try {
      process.kill(-this.#child.pid, signal);
      return true;
    } catch (error) {
      if (error.code !== 'ESRCH') throw error;
      return false;
    }
  }
}

async function guard(folder) {
  const child = spawn('sh', [path.join(__dirname, 'guard.sh'), folder], {
    detached: true,
    stdio: ['pipe', 'ignore', 'ignore'],
  });
  // If the guard has died, writes to it fail, which does not matter before the server ends.
  child.stdin.on('error', () => {});
  await once(child, 'spawn');
  for (const held of [child, child.stdin]) held.unref();
  return child;
}

async function isOk(url) {
  try {
    const response = await fetch(url, { signal: AbortSignal.timeout(10_000) });
    await response.body?.cancel();
    return response.ok;
  } catch {
    return false;
  }
}

/**
 * Returns free ports. The function keeps all ports open until it has found the last one, so that it
 * returns no port twice.
 */
async function freePorts(count) {
  const servers = Array.from({ length: count }, () => createServer().listen(0, '127.0.0.1'));
  await Promise.all(servers.map((server) => once(server, 'listening')));
  const ports = servers.map((server) => server.address().port);
  await Promise.all(servers.map((server) => once(server.close(), 'close')));
  return ports;
}

module.exports = { ServerProcess, freePorts };
