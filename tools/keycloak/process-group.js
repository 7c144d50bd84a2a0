/**
 * Runs a server as the leader of its own process group. A second process, the guard, ends the group
 * and removes its folder when this process ends, even by SIGKILL. Signals go to the group, because
 * `kc.sh` remains the parent of Java and forwards only some signals.
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

  /** Resolves when the command has been spawned; its output goes to the log file. */
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
    // A caller that does not stop the server can still end; the guard then stops it.
    child.unref();
    this.#child = child;
  }

  isRunning() {
    return this.#child !== undefined && this.#send(0);
  }

  /** The signal or exit code of the leader as text, if it has ended. */
  ended() {
    const { exitCode, signalCode } = this.#child ?? {};
    if (signalCode) return signalCode;
    return typeof exitCode === 'number' ? `code ${exitCode}` : undefined;
  }

  signal(name) {
    if (!this.#send(name)) throw new Error(`the server has ended: no ${name} can be sent`);
  }

  /** Sends the signal to the group and resolves when no process of it is left. */
  async end(name) {
    if (!this.isRunning()) return;
    this.#send(name);
    // A stopped group does not receive the signal.
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

  /** Returns whether a process has received the signal. */
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
  // If the guard was killed, writing to it fails, which does not matter before the server ends.
  child.stdin.on('error', () => {});
  await once(child, 'spawn');
  for (const held of [child, child.stdin]) held.unref();
  return child;
}

module.exports = { ProcessGroup };
