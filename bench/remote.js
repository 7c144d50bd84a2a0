'use strict';

// Runs a program in its own process and calls its methods through messages. The parent uses
// `RemoteProcess`, the program uses `serve`.

const { spawn } = require('node:child_process');
const { once } = require('node:events');

class RemoteProcess {
  #child;
  #ended;
  #output = '';

  /**
   * @param {string} file the program
   * @param {object} [options]
   * @param {Record<string, string>} [options.env] additional variables
   * @param {number} [options.openFiles] the limit on file descriptors of the process
   * @param {number} [options.limitMs] the time after which the parent kills the process
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
    this.#ended = once(this.#child, 'close').then(([code, signal]) => ({
      how: signal ?? `code ${code}`,
      output: this.#output,
    }));
  }

  /** Calls a method of the program and returns its result; one call at a time. */
  async ask(method, ...args) {
    const answered = once(this.#child, 'message');
    // If the process has ended, the code below reports the end.
    this.#child.send({ method, args }, () => {});
    const ended = this.#ended.then(({ how, output }) => {
      throw new Error(`the process ended with ${how}: ${output}`);
    });
    const [{ error, value }] = await Promise.race([answered, ended]);
    if (error) throw new Error(error);
    return value;
  }

  /** Resolves when the process has ended, with the output and with the exit code or signal. */
  ended() {
    return this.#ended;
  }

  kill() {
    this.#child.kill('SIGKILL');
  }
}

/** Answers the parent with these methods; the process ends after the method that `last` names. */
function serve(methods, last) {
  process.on('message', async ({ method, args }) => {
    const answer = {};
    try {
      answer.value = await methods[method](...args);
    } catch (error) {
      answer.error = error.message;
    }
    process.send(answer, () => method === last && process.exit());
  });
  process.on('disconnect', () => process.exit());
}

module.exports = { RemoteProcess, serve };
