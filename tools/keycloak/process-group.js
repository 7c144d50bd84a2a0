/**
 * One server process at a time as the leader of its own process group, with a guard beside it: a
 * process that ends the group and removes its folder when this process ends, even by a KILL.
 * The group counts, since `kc.sh` stays as the parent of Java and passes on only some signals.
 */
'use strict';

const { spawn } = require('node:child_process');
const { once } = require('node:events');
const { open, readFile, rm } = require('node:fs/promises');
const path = require('node:path');
const { setTimeout: delay } = require('node:timers/promises');

/** Longer than any graceful shutdown. */
const ENDED_WITHIN_MS = 60_000;
const POLL_MS = 20;
const LOG_TAIL_LINES = 30;

class ProcessGroup {
  #folder;
  #guard;
  #child;
  #log;

  constructor(folder, log) {
    this.#folder = folder;
    this.#log = log;
  }

  get pid() {
    return this.#child?.pid;
  }

  /** Resolves when the command was spawned; its output goes to the log file. */
  async spawn(command, args, env) {
    if (this.isRunning()) throw new Error('the server is running already');
    this.#guard ??= await guard(this.#folder);
    const output = await open(this.#log, 'w');
    const child = spawn(command, args, {
      cwd: this.#folder,
      detached: true,
      env,
      stdio: ['ignore', output.fd, output.fd],
    });
    if (child.pid !== undefined) this.#guard.stdin.write(`${child.pid}\n`);
    await once(child, 'spawn');
    await output.close();
    // Whoever forgets to stop the server can still end, and the guard then stops it.
    child.unref();
    this.#child = child;
  }

  isRunning() {
    return this.#child !== undefined && this.#send(0);
  }

  /** How the leader ended, as text, if it did. */
  ended() {
    const { exitCode, signalCode } = this.#child ?? {};
    if (signalCode) return signalCode;
    return typeof exitCode === 'number' ? `code ${exitCode}` : undefined;
  }

  signal(name) {
    if (!this.#send(name)) throw new Error(`the server has ended: no ${name} can be sent`);
  }

  /** Sends the signal to the whole group and resolves when no process of it is left. */
  async end(name) {
    if (!this.isRunning()) return;
    this.#send(name);
    // A group that was stopped would not see the signal.
    this.#send('SIGCONT');
    const deadline = Date.now() + ENDED_WITHIN_MS;
    while (this.isRunning() || this.ended() === undefined) {
      if (Date.now() > deadline) throw new Error(`${name} did not end the server`);
      await delay(POLL_MS);
    }
    this.#guard?.stdin.write('\n');
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
    await rm(this.#folder, { recursive: true, force: true });
  }

  async logTail() {
    const text = await readFile(this.#log, 'utf8').catch(() => '');
    return text.trimEnd().split('\n').slice(-LOG_TAIL_LINES).join('\n');
  }

  /** Whether a process received it. */
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
  // A guard that somebody killed is missed when the server must be ended, not when it is told.
  child.stdin.on('error', () => {});
  await once(child, 'spawn');
  for (const held of [child, child.stdin]) held.unref();
  return child;
}

module.exports = { ProcessGroup };
