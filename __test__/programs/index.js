'use strict';

// Starts programs, by default from this folder, each in its own process.

const assert = require('node:assert/strict');
const { spawn } = require('node:child_process');
const { once } = require('node:events');
const path = require('node:path');
const readline = require('node:readline');

const LIMIT_MS = 20_000;

/** A running program, which prints lines of JSON. */
class Program {
  #child;
  #lines;
  #errors = '';
  #printedAt;
  #exit;

  constructor(
    t,
    name,
    args,
    { execArgv = [], env, binary = process.execPath, limitMs = LIMIT_MS },
  ) {
    const argv = [...execArgv, path.resolve(__dirname, name), ...args.map(String)];
    this.#child = spawn(binary, argv, {
      env: { ...process.env, ...env },
      timeout: limitMs,
      killSignal: 'SIGKILL',
    });
    t.after(() => this.#child.kill('SIGKILL'));
    this.#exit = once(this.#child, 'exit').then(([code, signal]) => ({ code, signal, at: now() }));
    this.#child.stderr.setEncoding('utf8').on('data', (text) => {
      this.#errors += text;
    });
    this.#child.stdout.on('data', () => {
      this.#printedAt = now();
    });
    this.#lines = readline.createInterface({ input: this.#child.stdout })[Symbol.asyncIterator]();
  }

  get pid() {
    return this.#child.pid;
  }

  /** The next value that the program prints. */
  async next() {
    const { value, done } = await this.#lines.next();
    if (done) {
      const { code, signal, errors } = await this.ended();
      assert.fail(`ended with ${signal ?? code} without another value: ${errors}`);
    }
    return JSON.parse(value);
  }

  /** Lets a waiting program continue; the program may read the text. */
  goOn(text = '') {
    this.#child.stdin.write(`${text}\n`);
  }

  /** Resolves with how and when the program ended, and with the remaining output. */
  async ended() {
    const printed = [];
    for await (const line of this.#lines) printed.push(JSON.parse(line));
    const ended = await this.#exit;
    return { ...ended, printed, printedAt: this.#printedAt, errors: this.#errors };
  }

  /** The last value that the program prints, after a successful end. */
  async result() {
    const { code, signal, printed, errors } = await this.ended();
    assert.equal(code, 0, `ended with ${signal ?? code}: ${errors}`);
    return printed.at(-1);
  }
}

/** The current time on the clock that also measures when a program ends. */
const now = () => performance.now();

const run = (t, name, args = [], options = {}) => new Program(t, name, args, options);

module.exports = { now, run };
