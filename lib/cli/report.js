'use strict';

// Prints findings: as lines for people, or as JSON for programs.

const SIGNS = { ok: '✓', warning: '!', failed: '✗', skipped: '–' };
const COLOURS = { ok: 32, warning: 33, failed: 31, skipped: 2 };
const STEP_WIDTH = 14;
const NAME_WIDTH = 11;
const INDENT = ' '.repeat(4);

/** Whether to use colours on a stream; an empty `NO_COLOR` has no effect. */
const hasColours = (stream, env) => stream.isTTY === true && !env.NO_COLOR && env.TERM !== 'dumb';

class TextReport {
  #write;
  #paint;
  #skipped = new Set();

  constructor(stream, env) {
    this.#write = (line) => stream.write(`${line}\n`);
    this.#paint = hasColours(stream, env)
      ? (state, text) => `\u001b[${COLOURS[state]}m${text}\u001b[0m`
      : (_state, text) => text;
  }

  add({ step, state, text, took, advice, details = {} }) {
    if (state === 'skipped') {
      this.#skipped.add(step);
      return;
    }
    const sign = this.#paint(state, SIGNS[state]);
    const time = took === undefined ? '' : ` (${took} ms)`;
    this.#write(`${sign} ${step.padEnd(STEP_WIDTH)} ${text}${time}`);
    if (advice !== undefined) this.#write(`${INDENT}${this.#paint(state, 'advice:')} ${advice}`);
    for (const [name, value] of Object.entries(details)) {
      this.#write(`${INDENT}${name.padEnd(NAME_WIDTH)} ${value}`);
    }
  }

  end(exitStatus) {
    if (this.#skipped.size > 0) {
      const names = [...this.#skipped].join(', ');
      this.#write(this.#paint('skipped', `${SIGNS.skipped} not checked:   ${names}`));
    }
    return exitStatus;
  }
}

/** Collects the findings and prints one JSON object. */
class JsonReport {
  #findings = [];
  #stream;

  constructor(stream) {
    this.#stream = stream;
  }

  add(finding) {
    this.#findings.push(finding);
  }

  end(exitStatus) {
    const whole = { ok: exitStatus === 0, findings: this.#findings };
    this.#stream.write(`${JSON.stringify(whole, null, 2)}\n`);
    return exitStatus;
  }
}

module.exports = { JsonReport, TextReport };
