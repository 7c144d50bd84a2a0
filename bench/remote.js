'use strict';

// Runs a program in its own process and calls its methods by messages. `RemoteProcess` is the end
// of the parent, `serve` that of the program.

const { spawn } = require('node:child_process');
const { once } = require('node:events');

class RemoteProcess {
  #child;
  #ended;
  #waiting = new Map();
  #count = 0;
  #output = '';

  /**
   * @param {string} file the program
   * @param {object} [options]
   * @param {Record<string, string>} [options.env] additional variables
   * @param {number} [options.openFiles] the limit of file descriptors of the process
   * @param {number} [options.limitMs] the process is killed after this time
   */
  constructor(file, { env, openFiles, limitMs } = {}) {
    const limit = ['/bin/sh', '-c', `ulimit -n ${openFiles} && exec "$0" "$@"`];
    const [command, ...args] = [...(openFiles === undefined ? [] : limit), process.execPath, file];
    this.#child = spawn(command, args, {
      env: { ...process.env, NODE_OPTIONS: '', ...env },
      stdio: ['ignore', 'pipe', 'pipe', 'ipc'],
      timeout: limitMs,
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

  /** Calls a method of the program and returns its result. */
  ask(method, ...args) {
    return new Promise((resolve, reject) => {
      this.#count += 1;
      this.#waiting.set(this.#count, { resolve, reject });
      this.#child.send({ id: this.#count, method, args }, (error) => error && reject(error));
    });
  }

  /** Resolves when the process has ended, with how it ended and its output. */
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

/** Answers the parent with these methods; the process ends after the one named `last`. */
function serve(methods, last) {
  process.on('message', async ({ id, method, args }) => {
    let answer;
    try {
      answer = { id, value: await methods[method](...args) };
    } catch (error) {
      answer = { id, error: error.message };
    }
    process.send(answer, () => method === last && process.exit());
  });
  process.on('disconnect', () => process.exit());
}

module.exports = { RemoteProcess, serve };
