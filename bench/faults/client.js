'use strict';

// The parent's end of child.js.

const { spawn } = require('node:child_process');
const { once } = require('node:events');
const path = require('node:path');

/** A hanging process is killed, which fails its row. */
const LIMIT_MS = 60_000;

class Client {
  #child;
  #ended;
  #waiting = new Map();
  #count = 0;
  #output = '';

  /**
   * @param {Record<string, string>} env
   * @param {number} [openFiles] how many file descriptors the process may have
   */
  constructor(env, openFiles) {
    const program = [process.execPath, path.join(__dirname, 'child.js')];
    const [command, ...args] =
      openFiles === undefined
        ? program
        : ['/bin/sh', '-c', `ulimit -n ${openFiles} && exec "$0" "$@"`, ...program];
    this.#child = spawn(command, args, {
      env: { ...process.env, NODE_OPTIONS: '', ...env },
      stdio: ['ignore', 'pipe', 'pipe', 'ipc'],
      timeout: LIMIT_MS,
      killSignal: 'SIGKILL',
    });
    for (const stream of [this.#child.stdout, this.#child.stderr]) {
      stream.setEncoding('utf8').on('data', (text) => {
        this.#output += text;
      });
    }
    this.#child.on('message', ({ id, error, value }) => {
      const { resolve, reject } = this.#waiting.get(id);
      this.#waiting.delete(id);
      if (error) reject(new Error(error));
      else resolve(value);
    });
    this.#ended = once(this.#child, 'close').then(
      ([code, signal]) => this.#end(signal ?? `code ${code}`),
      (error) => this.#end(error.code),
    );
  }

  /** Has a method of the child done, and returns what it gives. */
  ask(method, ...args) {
    return new Promise((resolve, reject) => {
      this.#count += 1;
      this.#waiting.set(this.#count, { resolve, reject });
      this.#child.send({ id: this.#count, method, args }, (error) => error && reject(error));
    });
  }

  /** How it ended, and its output, once it has ended. */
  ended() {
    return this.#ended;
  }

  #end(how) {
    for (const { reject } of this.#waiting.values()) {
      reject(new Error(`the process ended with ${how}: ${this.#output}`));
    }
    this.#waiting.clear();
    return { how, output: this.#output };
  }

  kill() {
    this.#child.kill('SIGKILL');
  }
}

module.exports = { Client };
